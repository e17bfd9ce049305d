#!/bin/sh
# In a root of packages that were unpacked only: what their own scripts would have made.
set -eu
root=$1
mkdir -p "$root/etc/ssl/certs" "$root/usr/lib/ssl"
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
ln -sf /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
printf '%s\n' root:x:0:0:root:/:/bin/sh o:x:10001:10001:o:/tmp:/usr/sbin/nologin >"$root/etc/passwd"
printf '%s\n' root:x:0: o:x:10001: >"$root/etc/group"
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale
