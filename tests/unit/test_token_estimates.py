"""Estimates of tokens, beside two of OpenAI's tokenizers: rather too many, and not far too many."""

import base64
import json
import random

import pytest

from o.memory.estimates import estimate
from o.memory.tokens import count_text

PROSE = {
    "english": "The agent remembers what was said last spring: Ada lives near the harbour, "
    "prefers tea without sugar, and wants her reports on Mondays before nine o'clock. ",
    "german": "Die Erinnerung an das vergangene Frühjahr bleibt: Datenschutzgrundverordnung, "
    "Straßenbahnhaltestelle und Geschwindigkeitsbegrenzung sind lange Wörter. ",
    "french": "L'agent se souvient de ce qui a été dit au printemps dernier : Élodie préfère "
    "le thé sans sucre, et voudrait ses rapports avant neuf heures. ",
    "polish": "Źdźbło trawy i żółta łódź: asystent pamięta, co powiedziano zeszłej wiosny. ",
    "vietnamese": "Trợ lý nhớ những gì đã được nói vào mùa xuân năm ngoái: Nguyễn thích trà. ",
    "russian": "Помощник помнит, что было сказано прошлой весной: Анна пьёт чай без сахара. ",
    "greek": "Ο βοηθός θυμάται τι ειπώθηκε την περασμένη άνοιξη: η Άννα μένει στο λιμάνι. ",
    "arabic": "يتذكر المساعد ما قيل في الربيع الماضي: تعيش ليلى بالقرب من الميناء. ",
    "hindi": "सहायक को याद है कि पिछले वसंत में क्या कहा गया था: आशा चाय पसंद करती है। ",
    "thai": "ผู้ช่วยจำได้ว่าฤดูใบไม้ผลิที่แล้วพูดอะไรไว้ อาชาอาศัยอยู่ใกล้ท่าเรือ ",
    "chinese": "助手记得去年春天说过的话：安娜住在港口附近，喝茶不加糖，希望每周一收到报告。",
    "japanese": "アシスタントは去年の春に言われたことを覚えています。アンナさんはお茶が好きです。",
    "korean": "도우미는 지난봄에 들은 말을 기억합니다. 안나는 항구 근처에 살고 차를 좋아합니다. ",
    "emoji": "👩🏽‍🚀🦀🇫🇷🎉❤️🔥👨‍👩‍👧‍👦🧑🏿‍🔬🥳🫠🏳️‍🌈",
}
RECORDS = [{"id": n, "user_name": f"user{n}", "score": n / 7, "tags": ["a"]} for n in range(40)]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BYTES = random.Random(7).randbytes(3_000)
DATA = {
    "code": open(__file__, encoding="utf-8").read().partition("RECORDS")[2],  # noqa: SIM115
    "json": json.dumps(RECORDS),
    "json on lines": json.dumps(RECORDS, indent=2),
    "base64": base64.b64encode(BYTES).decode(),
    "hex": BYTES.hex(),
    "letters": "".join(ALPHABET[byte % 52] for byte in BYTES),
    "numbers": "\n".join(
        f"{a / 7:.3f},{b / 3:.4f}" for a, b in zip(BYTES, BYTES[::-1], strict=True)
    ),
    "paths": "\n".join(f"/usr/lib/python3.11/foo_{n}/bar/baz_qux.py:{n}" for n in range(80)),
    "marks": "!@#$%^&*()_+-=[]{}|;':\",./<>?" * 20,
    "shouting": PROSE["english"].upper(),
}


@pytest.mark.parametrize("kind", [*PROSE, *DATA])
def test_what_is_estimated_is_enough_for_either_tokenizer(kind: str) -> None:
    text = (PROSE | DATA)[kind]
    old, new = count_text("openai/gpt-4", text), count_text("openai/gpt-5", text)
    assert estimate(text) >= max(old, new)


@pytest.mark.parametrize("kind", [*PROSE, *DATA])
def test_what_is_estimated_is_not_far_too_much(kind: str) -> None:
    text = (PROSE | DATA)[kind]
    assert estimate(text) <= 1.9 * count_text("openai/gpt-4", text)


@pytest.mark.parametrize("text", ["", "a", " ", "\ud800", "\0", "é" * 9, "字" * 1000, "😀" * 40])
def test_an_estimate_is_never_more_than_the_bytes_of_a_text(text: str) -> None:
    assert estimate(text) <= len(text.encode(errors="replace"))


def test_claude_is_given_more_room_than_others() -> None:
    text = PROSE["english"]
    assert count_text("anthropic/claude-opus-5", text) >= 1.2 * count_text("ollama/llama3", text)
