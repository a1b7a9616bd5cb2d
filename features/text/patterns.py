"""What can be told by its form: numbers, handles, links, prices, tags, emoji; in normalised text unless it says so."""

import re
from typing import Final

PHONE: Final = re.compile(
    r"(?<![\d.])(?:(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}"
    r"|0\d{2,3}[- )]{0,2}[2-8]\d{6,7}|[48]00[- ]?\d{3}[- ]?\d{4})(?!\d)"
)
"""A Chinese mobile number, a landline with its area code, or a 400 or 800 number."""

_BETWEEN: Final = "[^a-z0-9㐀-鿿,;!?。、]"
WECHAT: Final = re.compile(
    rf"微信(?:(?:同?号|id)?{_BETWEEN}{{0,2}}[:是为]{_BETWEEN}{{0,2}}|(?:同?号|id){_BETWEEN}{{0,3}}"
    rf"|{_BETWEEN}{{0,3}}(?=[a-z_-]{{0,19}}\d))"
    r"(?:[a-z][a-z0-9_-]{5,19}(?![a-z0-9_-])|1[3-9]\d{9}(?!\d))"
)
"""WeChat with an id: a letter and 5 to 19 more characters (WeChat's rule), or a mobile number.

Where nothing says that an id follows (a colon, 号), it must hold a digit: 微信 iphone 版 holds none.
"""

QQ: Final = re.compile(r"(?:(?:qq|企鹅)(?:群?号?码?|咨询|在线){0,2}|(?<!人)群号)[\s:是为]{0,3}[1-9]\d{4,10}(?!\d)")
"""QQ, or a group, with its number: 5 to 11 digits."""

EMAIL: Final = re.compile(r"(?<![a-z0-9._-])[a-z0-9._-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,4}")

_TLD: Final = "com|cn|net|org|cc|me|top|xyz|vip|shop|club|info|io|tv|wang|site|online|store|app|am|ly|hk|tw"
_PATH: Final = r"[a-z0-9_~!$&'()*+,;=:@%./?#-]{0,2000}(?<![,.!?:;)'])"
LINK: Final = re.compile(
    rf"https?:/{{1,3}}{_PATH}|(?<![a-z0-9@.-])(?:[a-z0-9-]{{1,63}}\.){{1,8}}(?:{_TLD})(?![a-z0-9.-])(?:/{_PATH})?"
)
"""An address with its scheme, or a bare host name under a domain that is seen in Chinese text."""

PRICE: Final = re.compile(
    r"(?<![\d.])(?:[¥$]\s?\d[\d,]{0,9}(?:\.\d{1,2})?|\d[\d,]{0,9}(?:\.\d{1,2})?\s?(?:元|块钱|rmb|人民币|万元|美元|港币))"
)

HASHTAG: Final = re.compile(r"#[^#\s!?,。;:、]{1,30}#?")

EMOJI_CHARACTER: Final = (
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f900-\U0001f9ff\U0001fa70-\U0001faff☀-➿⬀-⯿]"
)
EMOJI: Final = re.compile(EMOJI_CHARACTER)
"""In original text."""

EMOJI_JOINER: Final = re.compile(f"(?<={EMOJI_CHARACTER})\ufe0f?\u200d")
"""What makes one emoji of several: without ink, yet nothing to hide."""

REPEATED_CHARACTER: Final = re.compile(r"([^\W\d_哈啊呵嘿嘻hw])\1{7,}|([!?！？。，,])\2{9,}")
"""Of original text: a letter or Chinese character 8 times in a row (laughter excepted), or a mark 10 times."""

REPEATED_PHRASE: Final = re.compile(r"(\S{2,20}?)\1{3,}")
"""Two to 20 characters that stand 4 times in a row."""
