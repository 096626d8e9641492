"""Text to terms as the reference has it: dump_terms and the reference analyse the same titles and excerpts.

Needs the reference beside the project (../shared/tools/linking), else skipped. The titles here are invented. Those of
../shared/data are compared too; they belong to their publishers, so a difference shows only their ids.
"""

import importlib.util
import json
import random
import subprocess
import unicodedata

import pytest

from support.servers import ROOT
from support.workers import environment, program

SHARED = ROOT.parent / "shared"
REFERENCE = SHARED / "tools" / "linking" / "reference.py"
TITLES = SHARED / "data" / "uci-dev.ndjson"
UNKNOWN, LOWER, CAPITAL = range(3)
SEED = 20240

pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason="../shared/tools/linking is not there")


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("linking_reference", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cut(text, most):
    """What is read of a text: so many bytes, cut at a character."""
    return text.encode()[:most].decode(errors="ignore")


def expected(reference, article):
    """[text, of the excerpt, sighting, weak] a term. In a linker that knows nothing yet a term weighs 1, or half when
    it is a weak number, and 0.4 of that when it is of the excerpt."""
    linker = reference.Linker()
    read = {"title": cut(article["title"], 4096), "excerpt": cut(article.get("excerpt", ""), 16384)}
    weights, _ = linker.weights(article | read)
    sighting = {term: CAPITAL if capital else LOWER for term, capital in linker.case.items()}
    return [[term, weight in (0.4, 0.2), sighting.get(term, UNKNOWN), weight in (0.5, 0.2)] for term, weight in weights.items()]


def actual(articles):
    done = subprocess.run([program("dump_terms")], input="".join(json.dumps(a) + "\n" for a in articles), text=True,
                          capture_output=True, check=False, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def differences(reference, articles):
    """-> [(number of the article, expected, actual)]"""
    ours = actual(articles)
    assert len(ours) == len(articles)
    return [(n, want, got) for n, (article, got) in enumerate(zip(articles, ours))
            if (want := expected(reference, article)) != got]


def check(reference, articles):
    wrong = differences(reference, articles)
    assert not wrong, f"{len(wrong)} of {len(articles)}, the first: {ascii(articles[wrong[0][0]])}\n" \
        f"expected {wrong[0][1]}\nactual   {wrong[0][2]}"


INVENTED = [
    ("en", "UPDATE 2-O’Neil's ferry firm AT&T-style merger: U.S. court says no",
     "The judge in Quayport said it’s over. Shares fell 12.5 %"),
    ("en-GB", "[Quay TV] LIVE: Photos - Ferries run again after 3 days", "FERRIES RUN AGAIN"),
    ("en_US", "The Great Harbour Fire of 1999 Is Remembered in 2024 by Many",
     "survivors met the mayor, Ms Alder, on Monday"),
    ("EN", "‘Nothing’s lost’, say the Aldermen’s lawyers; he's sure, she's not; here's's why", ""),
    ("", "running ferries without a language", "Running Ferries"),
    ("eo", "La pramo revenis al la haveno de Norda Urbo", "ĝis ĉiuj ŝipoj ŝanĝiĝos"),
    ("de-AT", "Straßenbahnen fahren häufiger über die Nordbrücke – Bürger fragen „warum?“",
     "Die Stadtwerke kündigten im Jänner neue Linien an."),
    ("fr", "L’État rachète le port d’Aubeval, « aujourd’hui ou jamais »",
     "Les députés s’opposent… Œuvre d’art à l’hôtel"),
    ("es", "El Ayuntamiento de Valdemar aprobó los presupuestos más ambiciosos", "¿Quién pagará? Los vecinos dudan"),
    ("pt_br", "Governo anuncia ampliação das linhas de balsas até São Tomar",
     "Informações serão divulgadas na próxima semana"),
    ("it", "Il traghetto dell’isola è ripartito: passeggeri felicissimi", "Nell'ultima settimana c'erano più ritardi"),
    ("nl", "Veerboten varen weer tussen Noordhaven en 's-Gravenzand", "De burgemeester zei dat 't goed ging"),
    ("da", "Færgen sejler igen fra Nørrehavn", "Borgmesteren glæder sig over æblerne på øen"),
    ("sv", "Färjorna går åter från Norrhamn", "Borgmästaren gläds åt öarnas skärgårdsbåtar"),
    ("nb", "Fergene går igjen fra Nordhavna", "Ordføreren gleder seg over båtene"),
    ("nn", "Ferjene går att frå Nordhamna", "Ordføraren gler seg"),
    ("no", "Kystbåtene seilte hjem", "Været på Østøya"),
    ("fi", "Lautat liikennöivät jälleen Pohjoissatamasta saarille", "Kaupunginjohtaja iloitsi laivoista"),
    ("hu", "Újra közlekednek a kompok az Északi-kikötőből", "A polgármester örült a hajóknak"),
    ("ro", "Feriboturile circulă din nou spre Insula Șerpuită", "Primarul a mulțumit echipajelor"),
    ("tr", "İSTANBUL'DA KIŞ: ILIK günler bitti, vapurlar yeniden çalışıyor",
     "Kitapları ıslanan öğrencilere İzmir'den destek geldi"),
    ("el", "Τα πλοία ξεκίνησαν πάλι από το λιμάνι της ΒΟΡΕΙΑΣ ΠΌΛΗΣ", "Ο δήμαρχος είπε ότι οι επιβάτες ευχαριστήθηκαν"),
    ("ru", "Паромы снова ходят из Северной гавани – мэр г. Ольховска",
     "Правительство объявило о новых мерах поддержки"),
    ("uk", "Пороми знову ходять з об’єднаного порту", "Мер м’яко відповів"),
    ("ar", "عادت العبّارات إلى العمل من الميناء الشماليّ عام ١٩٩٩", "قال رئيس البلديّة ‏إنّ ﷺ الركّاب سعداء ٢٤"),
    ("he", "\u202eהמעבורות\u202c \u200fחזרו לפעול בנמל צפון", "ראש העירייה אמר שהכול בסדר"),
    ("hi", "उत्तरी बंदरगाह से नौकाएँ फिर चलीं १२", "महापौर ने कहा कि यात्री ख़ुश हैं"),
    ("zh", "北港轮渡恢复运营，市长Alder表示2024年将增加12班", "乘客们很高兴。"),
    ("zh-TW", "ＡＢＣ渡輪公司：３艘新船", "㈱北港、㍿"),
    ("ja", "北港のフェリーが再開、ﾊﾝｶｸｶﾅも混じるＡ社の12便", "市長は「喜ばしい」と語った。か\u3099き\u3099"),
    ("th", "เรือข้ามฟากกลับมาให้บริการจากท่าเรือเหนือ ๑๒ เที่ยว", "นายกเทศมนตรีกล่าวว่าดีใจ น้ำ"),
    ("lo", "ເຮືອຂ້າມຟາກ", ""),
    ("my", "ကူးတို့သင်္ဘောများ", ""),
    ("km", "សាឡាងឆ្លងកាត់", ""),
    ("ko", "북항 여객선 운항 재개, 시장 '기쁘다'", "\u1112\u1161\u11ab\u1100\u1173\u11af 가\u11a7 ㈜북항"),
    ("en", "①② ➊➋ Ⅸ ⅸ 🅐 😀 ﬁnal ½ № ﹨ \\ ｆｕｌｌ width‥…", "ǅungla ᾈα ﬀ ŉ ſoft K ẞ"),
    ("en", "", ""),
    ("en", "\x00 \x1f \u200b \ufeff \u2028 \U000e0041", "\u0301 alone \u0301\u0327b"),
    ("en", "u.s.a. u.s.' 'tis rock'n'roll a.b's x's xx's 's .5 5. 5.5's", "1.2.3 20.24 20 2024 1924 1824 19 9 99 999"),
    ("en", "video", "video: watch - update 12 : [x] photos -"),
    ("en", "tımelİne 5 — the İsland", "[twenty-five characters in] live: no [two] live: yes"),
]

LONG = [
    "".join(f"quay{n} " for n in range(10000)), "ferry " * 10000, "\U0001f600" * 5000, "x" * 20000, "a." * 10000, "[" * 9000,
    "a" + "".join(chr(0x300 + n % 112) for n in range(10000)), "\ufdfa" * 1500, "\u202eשלום \u202bعالم\u200f " * 900,
    "中文字符測試" * 1000, "東京でカタカナ" * 600, "ภาษาไทยไม่มีช่องว่าง" * 300, "한국어 뉴스는 " * 400, "\u1100\u1161\u11a7" * 2000,
    "update - " * 3000, "UPPER CASE " * 900,
]


def test_invented_titles_in_many_languages(reference):
    check(reference, [{"locale": own, "title": title, "excerpt": excerpt} for own, title, excerpt in INVENTED])
    check(reference, [{"title": excerpt, "excerpt": title} for _, title, excerpt in INVENTED])
    check(reference, [{"locale": locale, "title": title, "excerpt": excerpt}
                      for locale in reference.SNOWBALL for _, title, excerpt in INVENTED])


def test_titles_without_end(reference):
    check(reference, [{"title": text, "excerpt": text[5:], "locale": locale} for text in LONG for locale in ("en", "xx")])


def test_every_stop_word_and_no_other(reference):
    forms = [form for word in sorted(reference.STOP["en"]) for form in (word, word.upper(), word[:-1], word + "s")]
    check(reference, [{"title": f"quay {form}{tail}"} for form in forms for tail in ("", "'s", "’S", "'s's")])


def known_to_python():
    """Of what a later Unicode added the two may think differently."""
    return [code for code in range(1, 0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]


def test_every_character(reference):
    """In a word, as a word, next to others of its kind; of Han and Hangul a sample."""
    codes = known_to_python()
    few = [code for code in codes if not 0x3400 <= code <= 0xd7a3 and code < 0x20000] + codes[::97]
    articles = []
    for n in range(0, len(few), 24):
        group = [chr(code) for code in few[n:n + 24]]
        articles.append({"locale": "xx", "title": " ".join(f"a{c}B {c}x" for c in group[:12]),
                         "excerpt": " ".join(f"a{c}B" for c in group[12:]) + " " + "".join(group)})
    check(reference, articles)


def random_text(rng, pools, pieces):
    out = []
    for _ in range(rng.randint(1, 12)):
        if rng.random() < 0.4:
            out += [rng.choice(pieces), rng.choice(["", " ", " ", " - ", ": "])]
        else:
            pool = rng.choice(pools)
            out += [chr(rng.choice(pool)) for _ in range(rng.randint(1, 6))] + [rng.choice(["", " "])]
    return "".join(out)


def test_random_texts(reference):
    rng = random.Random(SEED)
    known = known_to_python()
    blocks = ((0xc0, 0x24f), (0x370, 0x3ff), (0x600, 0x6ff), (0x900, 0x97f), (0xe01, 0xe5b), (0x1100, 0x11ff), (0x2010, 0x204f))
    pools = [[ord(c) for c in "aAbBsSİıſ.'&’‘ʼ -\\Kk"], [ord(c) for c in "0123456789.²①➀❷١٢፩ ."],
             [ord(c) for c in "東京でカひヴ゙゚が ー一二AaB9"], known, [code for code in known if unicodedata.combining(chr(code))],
             *([code for code in known if first <= code <= last] for first, last in blocks)]
    pieces = "the Us UPDATE video: 2 U.S. AT&T it's IT'S [x] live - – [Quay] watch3: u.s.'s 1999 20 7 1.5 İS ısı " \
        "straßen Running kitapları können o'neil's".split()
    locales = [*reference.SNOWBALL, "en", "en", "en", "en", "zh", "ja", "", "e", "eng", "xx-en", "De_AT"]
    check(reference, [{"locale": rng.choice(locales), "title": random_text(rng, pools, pieces),
                       "excerpt": random_text(rng, pools, pieces)} for _ in range(3000)])


@pytest.mark.skipif(not TITLES.exists(), reason="../shared/data is not there")
def test_real_titles(reference):
    rows = [json.loads(line) for line in TITLES.read_text(encoding="utf-8").splitlines()]
    titles = [row["title"] for row in rows]
    alone = [{"title": title} for title in titles]
    followed = [{"title": title, "excerpt": " ".join(titles[n + 1:n + 6]), "locale": "en-US"} for n, title in enumerate(titles)]
    for articles in (alone, followed):
        ids = [rows[n]["id"] for n, _, _ in differences(reference, articles)]
        assert not ids, f"{len(ids)} titles differ, the first: {ids[:10]}"


def known_state(reference, rng, articles):
    """A linker that has seen some of the terms of these articles in some stories, and the same for dump_terms."""
    linker, stories = reference.Linker(), rng.randrange(1, 100_000)
    terms = {term for article in articles for term in reference.Linker().weights(article)[0]}
    for term in rng.sample(sorted(terms), len(terms) * 2 // 3):
        linker.df[term] = rng.choice((1, 2, rng.randrange(1, 50), rng.randrange(1, stories + 1)))
        linker.hi[term] = rng.randrange(linker.df[term] + 1)
        linker.lo[term] = rng.randrange(linker.df[term] - linker.hi[term] + 1)
    linker.stories = stories
    options = [linker.p[name] for name in ("N0", "pidf", "cap", "ex")]
    counts = {term: [linker.df[term], linker.hi[term], linker.lo[term]] for term in linker.df}
    return linker, {"options": options, "stories": stories, "counts": counts}


@pytest.mark.parametrize("seed", range(5))
def test_weights_of_a_known_state(seed, reference):
    rng = random.Random(f"{SEED} {seed}")
    articles = [{"locale": locale, "title": title, "excerpt": excerpt} for locale, title, excerpt in INVENTED]
    linker, state = known_state(reference, rng, articles)
    ours = actual([article | {"state": state} for article in articles])
    n = 0
    for article, rows in zip(articles, ours):
        weights, _ = linker.weights(article)
        assert [row[0] for row in rows] == list(weights)
        for term, _excerpt, _sighting, _weak, weight in rows:
            assert abs(weight - weights[term]) < 1e-6, ascii((term, weight, weights[term], state["counts"].get(term)))
            n += term in state["counts"]
    assert n > 100, "most terms were known"
