"""The dashboard and the alert rules ask for metrics, labels and values that a server which has seen traffic gives."""

import json
import re
from datetime import timedelta
from pathlib import Path

import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Metrics

ROOT = Path(__file__).parents[2]
OF_PROMETHEUS = {"instance", "job"}
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = [one for one in json.loads((ROOT / "deploy/grafana/mingjian.json").read_text())["panels"] if "targets" in one]
QUERIES = {
    **{rule["alert"]: (rule["expr"], rule["annotations"]["summary"]) for rule in RULES},
    **{
        f"{panel['title']} {target['refId']}": (
            target["expr"].replace("$__rate_interval", "5m"),
            target["legendFormat"],
        )
        for panel in PANELS
        for target in panel["targets"]
    },
}


@pytest.fixture(scope="module")
def scraped(make_world, tmp_path_factory):
    """What a server answers to a scrape after every kind of traffic."""
    world = make_world(tmp_path_factory.mktemp("metrics"))
    world.registry.release()
    world.registry.release_quality()
    occurred_at = (world.clock.now - timedelta(hours=1)).isoformat()
    events = [{"event_id": str(n), "user_id": "u", "event": "open", "occurred_at": occurred_at} for n in range(3)]
    row = {"name": "features", "shape": [1, 11], "datatype": "FP32", "data": [1] * 11}
    with world.open() as client:
        client.post("/v1/events", json={"events": events})
        client.post("/v1/users:score", json={"user_ids": ["u", "v"]})
        client.post("/v1/users:score", json={})
        client.post("/v2/models/churn/infer", json={"inputs": [row]})
        client.post("/v1/notes:score", json={"notes": [{"body": "今天加微信"}]})
        client.app.state.services.states._file._here.close()
        client.post("/v1/users:score", json={"user_ids": ["u"]})
        return client.get("/metrics").text


@pytest.fixture(scope="module")
def samples(scraped):
    """Label sets by sample name."""
    found = {"up": [{}]}
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def children(node):
    match node:
        case promql.BinaryExpr():
            return [node.lhs, node.rhs]
        case promql.Call():
            return node.args
        case promql.MatrixSelector():
            return [node.vector_selector]
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return [node.expr]
        case _:
            return []


def selectors(node):
    own = [node] if isinstance(node, promql.VectorSelector) else []
    return own + [one for child in children(node) for one in selectors(child)]


def aggregates(node):
    own = [node] if isinstance(node, promql.AggregateExpr) else []
    return own + [one for child in children(node) for one in aggregates(child)]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_there_is(samples, query):
    expression, text = QUERIES[query]
    tree = promql.parse(expression)
    for selector in selectors(tree):
        fitting = samples.get(selector.name, [])
        for matcher in selector.matchers.matchers:
            if matcher.name not in OF_PROMETHEUS:
                fitting = [labels for labels in fitting if fits(matcher, labels.get(matcher.name))]
        assert fitting, f"{selector.name}{selector.matchers}"
    for aggregate in aggregates(tree):
        names = set(aggregate.modifier.labels) - OF_PROMETHEUS if aggregate.modifier else set()
        assert all(names <= samples[one.name][0].keys() for one in selectors(aggregate)), names
    shown = set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", text)) - OF_PROMETHEUS
    assert all(shown <= samples[one.name][0].keys() for one in selectors(tree)), shown


def fits(matcher, value):
    patterns = {"MatchOp.Re": matcher.value, "MatchOp.Equal": re.escape(matcher.value)}
    if (pattern := patterns.get(str(matcher.op))) is not None:
        return value is not None and re.fullmatch(pattern, value)
    return value is not None and value != matcher.value


def test_every_rule_says_who_must_act_and_why():
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_a_wrong_query_does_not_parse():
    with pytest.raises(ValueError, match="unclosed"):
        promql.parse("sum by (route (rate(mingjian_requests_total[5m]))")


def test_panels_lie_beside_each_other_with_ids_of_their_own():
    places = [tuple(panel["gridPos"].values()) for panel in PANELS]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_the_metrics_page_names_every_metric_with_its_labels_and_no_other():
    page = (ROOT / "docs/metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(mingjian_\w+)` \|([^|]*)\|", page, re.MULTILINE))
    named = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows.items()}
    assert named == dict(metric_labels(Metrics()))


def metric_labels(metrics):
    for family in metrics.registry.collect():
        if family.name.startswith("mingjian"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, set(labels_of(metrics, family.name))


def labels_of(metrics, name):
    [collector] = [one for one in vars(metrics).values() if getattr(one, "_name", None) == name]
    return getattr(collector, "_labelnames", None) or getattr(collector, "_labels", ())
