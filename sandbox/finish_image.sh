#!/bin/sh
# In a root of packages that were unpacked only: what their own scripts would have made.
set -eu
root=$1
mkdir -p "$root/etc/ssl/certs" "$root/usr/lib/ssl" "$root/deps" "$root/run/o"
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
ln -sf /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
echo 'nobody:x:65534:65534:nobody:/tmp:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'nogroup:x:65534:' >"$root/etc/group"
# Compiled, or each start of the read-only image would compile them anew.
for folder in . collections importlib encodings json asyncio concurrent/futures email http \
    urllib logging ctypes re html xml/etree; do
    set -- "$@" "/usr/lib/python3.11/$folder"
done
shift
chroot "$root" /usr/bin/python3.11 -I -m compileall -q -l "$@" || true
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale
