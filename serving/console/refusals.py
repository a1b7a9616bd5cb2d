"""Why something was not done, in the reader's language.

What services say is English. In Chinese each of their sentences has its own, by the sentence, or else the one of its
code: no reader is left with a language that is not theirs.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from models.policy.errors import Problem
from serving.console.languages import CHINESE, Language
from serving.errors import ServingError

_SENTENCES: Final[Sequence[tuple[str, str]]] = (
    (r"this decision can't be taken back any more", "这条决定已不能撤销：超过 30 秒，或笔记此后又有了新情况。"),
    (r"this review is decided already", "这条审核已经有结论了。"),
    (
        r"this review is not yours any more, or its note has changed: claim again",
        "这条审核已不在您手里，或笔记已被作者修改：请重新领取。",
    ),
    (r"a lead decides: .*", "您就是组长：请直接决定，没有人可以再上报。"),
    (r"no review is kept under this id", "没有这条审核，或它已随笔记删除。"),
    (r"no note is stored under this id", "没有这篇笔记，或它已被删除。"),
    (r"nothing is held of this user", "没有这位用户的任何数据。"),
    (r"somebody has this name already", "这个姓名已有人使用。"),
    (r"somebody has this name or account already", "这个姓名或单位账号已有人使用。"),
    (r"nobody has this name", "没有叫这个姓名的人。"),
    (r"an admin must confirm first that (.+) is this account", "请先由管理员在人员页确认：{0} 就是这个账号。"),
    (r"nobody here signs in with this account of (.+)", "没有人用 {0} 的这个账号登录本系统。"),
    (r"this person has a password, or the account is somebody else's", "此人用密码登录，或该账号已属于别人。"),
    (r"who signs in with an account elsewhere has no password here", "用单位账号登录的人在这里没有密码。"),
    (r"too many sign in at once", "同时登录的人太多：请过几秒再试。"),
    (r"a password has (\d+) characters or more", "密码至少要有 {0} 个字符。"),
    (r"no policy was active before this one", "此前没有启用过别的策略，无法回滚。"),
    (r"no policy is stored under this version", "没有保存过这个版本的策略。"),
    (r"the cursor .*", "翻页的位置已失效：请从第一页重新打开。"),
    (r"there is no such chart", "没有这张图。"),
    (r"no identity provider is set", "没有设置单位账号登录。"),
    (r"this form comes from another site", "这份表单来自别的网站，没有执行。"),
    (r"a form has at most (\d+) fields", "表单最多有 {0} 项。"),
    (r"this sign-in was not begun in this browser, or too long ago", "登录不是在这个浏览器里开始的，或已过期。"),
    (r"the identity provider does not vouch for this sign-in", "单位的身份服务没有确认这次登录。"),
    (r"the identity provider says no (.+)", "单位的身份服务没有给出 {0}。"),
    (r"the identity provider has not verified the email", "单位的身份服务没有核实这个邮箱。"),
)
_CODES: Final[Mapping[str, str]] = {
    "internal": "服务器出错了：请稍后再试，若仍不行请告诉管理员。",
    "invalid": "填写的内容不符合要求：请检查后重试。",
    "unauthenticated": "请先登录。",
    "forbidden": "不允许这样做。",
    "rate_limited": "请求太频繁：请稍后再试。",
    "no_model": "还没有上线的模型。",
    "not_ready": "服务还没有就绪：请稍后再试。",
    "store_unavailable": "数据库暂时连不上：请稍后再试。",
    "busy": "现在太忙：请稍后再试。",
    "bad_request": "无法读懂这个请求。",
    "not_found": "这里什么也没有：地址可能写错了，或内容已被删除。",
    "conflict": "情况已经变了：请刷新后再试。",
    "erased_user": "这位用户已被删除。",
    "method_not_allowed": "这个地址不接受这样的操作。",
    "body_too_large": "内容太长：请减少后重试。",
}
PROBLEMS: Final[Mapping[str, str]] = {
    "not_toml": "不是 TOML",
    "bad_format": "格式版本不对",
    "missing_section": "缺少一节",
    "too_many": "条目太多",
    "unknown_key": "没有这个键",
    "bad_type": "值的类型不对",
    "out_of_range": "值超出范围",
    "unknown_name": "没有这个名称",
    "duplicate_name": "名称重复",
    "bad_condition": "条件写法不对",
    "unknown_fact": "没有这个事实，可用的见 docs/policy.md",
    "never_fires": "这条永远不会生效",
    "no_catch_all": "最后缺少一条无条件的规则",
    "catch_all_not_last": "无条件的规则不在最后",
    "money_by_spending": "不允许按消费金额发放奖励",
}


def refusal(said: Language, error: ServingError) -> str:
    """Why something was not done; what the console itself says is in the reader's language as it comes."""
    if said.code != CHINESE or not error.detail[:1].isascii():
        return error.detail or error.title
    for sentence, chinese in _SENTENCES:
        if found := re.fullmatch(sentence, error.detail):
            return chinese.format(*found.groups())
    return _CODES.get(error.code, _CODES["internal"])


def problem_text(said: Language, problem: Problem) -> str:
    """What is wrong at a line of a policy; names are quoted as the file writes them."""
    if said.code != CHINESE:
        return problem.message
    section = problem.message.partition(": ")[0]
    named = "、".join(re.findall(r"'([^']+)'", problem.message))
    where = f"{section}：" if re.fullmatch(r"[a-z_]+", section) else ""
    return where + PROBLEMS[problem.code] + (f"（{named}）" if named else "")
