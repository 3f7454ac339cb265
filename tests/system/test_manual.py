# SPDX-License-Identifier: ISC
"""What is written about the program beside what its sources say: events, verbs, modules.

Options are compared with understudy.conf(5) by tests/unit/test_conf.c.
"""
import glob
import os
import re

import pytest

from servers import ROOT

# Who writes an event line, or is handed the name of one; and who gives names away.
WRITES = re.compile(r"\b(?:event_begin|log_failure|zonelog_not_saved)\b|\bEVENT_(?:ERROR|WARNING|NOTICE|INFO),")
GIVES = re.compile(r"^static const char \*change_event\(.*?^}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r'\bevent_(?:text|number|name|format)\(&?e, "(\w+)"')
NAME = re.compile(r'"([a-z]+(?:_[a-z]+)*)"')
ITEM = re.compile(r"^\.It Cm (.*)$", re.MULTILINE)


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def sources():
    return [read(path) for folder in ("cache", "proxy") for path in glob.glob(f"{ROOT}/{folder}/*.c")]


def section(text, begin, end):
    return text[text.index(begin) + len(begin):].split(end)[0]


def events_of(source):
    """Names in statements that write a line: event_begin(&e, EVENT_NOTICE, "zone_refreshed")."""
    names = {"note"} if "event_note" in source else set()
    for given in GIVES.findall(source):
        names |= set(NAME.findall(given))
    for statement in re.split(r"[;{}]", source):
        if WRITES.search(statement):
            names |= set(NAME.findall(statement))
    return names


def test_each_event_is_in_the_manual_and_the_manual_has_no_other():
    items = ITEM.findall(section(read("contrib", "understudy.8"), ".Sh DIAGNOSTICS", ".Sh "))
    written = {name for item in items for name in item.split(" , ")}
    assert len(written) > 20
    assert written == set().union(*map(events_of, sources()))


def test_each_field_of_an_event_is_in_the_manual():
    fields = set(FIELD.findall("\n".join(sources()))) - {"text"}       # that of a note
    words = set(re.findall(r"\w+", section(read("contrib", "understudy.8"), ".Sh DIAGNOSTICS", ".Sh ")))
    assert len(fields) > 40
    assert fields <= words, fields - words


def test_each_verb_is_in_the_manual_and_the_manual_has_no_other():
    verbs = re.findall(r"^\tX\((\w+),", read("proxy", "verbs.h"), re.MULTILINE)
    manual = section(read("contrib", "understudyctl.8"), ".Ss Verbs that read", ".Sh ")
    assert len(verbs) > 10
    assert {item.split()[0] for item in ITEM.findall(manual)} == set(verbs)


def test_each_module_is_in_the_architecture_once():
    tables = section(read("ARCHITECTURE.md"), "## Where does X live", "\nTests:").split("| in `proxy/` ")
    for folder, table in zip(("cache", "proxy"), tables, strict=True):
        rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        listed = [name for row in rows for name in re.findall(r"`(\w+)`", row) if name != folder]
        modules = {os.path.basename(path)[:-2] for path in glob.glob(f"{ROOT}/{folder}/*.[ch]")}
        assert sorted(listed) == sorted(modules)


@pytest.mark.parametrize("header, files", [
    ("balance_parts.h", "balance*.c"), ("dispatch_parts.h", "dispatch*.c"), ("watched.h", "watch*.c")])
def test_a_header_that_many_files_share_lists_them(header, files):
    listed = re.findall(r"^ \* {6}(\w+\.c) ", read("proxy", header), re.MULTILINE)
    there = glob.glob(f"{ROOT}/proxy/{files}")
    assert sorted(listed) == sorted(map(os.path.basename, there))
