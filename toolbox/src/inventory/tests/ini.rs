//! What is said about wrong INI files.

use super::from_text;

#[test]
fn problems_of_ini_name_their_line() {
    for (text, expected) in [
        ("[web", "1:1: [web: \"[web\" has a [ that is not closed"),
        ("[a b]\nx\n", "1:1: is no section; write [group], [group:children] or [group:vars], without blanks"),
        ("[web:sons]\n", "1:1: a section of the kind \"sons\" is not known: hosts, children or vars"),
        ("[web]\nweb1 a\n", "2:1: a word behind the host is no name=value"),
        ("[web]\nweb1 a='b\n", "2:1: has a quote ' that is not closed"),
        ("[web]\nw\n[web:vars]\na\n", "4:1: is no name=value"),
        ("[web:children]\na b\n", "2:1: is no name of a group"),
        ("[web:children]\ndb\n", "2:1: the group db is a child and is not declared: write [db]"),
        ("h\n[db:vars]\na=1\n", "2:1: the group db has variables and is not declared: write [db]"),
        ("web[1:1000000000]\n", "1:1: web[1:1000000000]: \"web[1:1000000000]\" stands for more than 10000 hosts"),
        ("web:\n", "1:1: web:: \"web:\" is no name of a host"),
        ("---\n", "1:1: --- begins a YAML file, and the rest of it is none"),
        ("a/b\n", "1:1: a/b: \"a/b\" is no name of a host"),
        ("[../x]\nh\n", "1:1: ../x: \"../x\" is no name of a group"),
        (
            "[a]\nh\n[a:children]\nb\n[b:children]\nc\n[c:children]\na\n",
            "4:1: a:children.b: the groups hold each other: a -> b -> c -> a",
        ),
        ("[a:children]\na\n[a]\nh\n", "2:1: a:children.a: the groups hold each other: a -> a"),
        ("h ansible_port=70000\n", "1:3: h.ansible_port: \"70000\" is no port from 1 to 65535"),
        (
            "h ansible_user='{{ me }}'\n",
            "1:3: h.ansible_user: templates are not supported in a value that toolbox needs (write the value itself)",
        ),
    ] {
        let said = from_text("inv.ini", text).map(|_| ()).unwrap_err();
        assert_eq!(said, format!("inv.ini:{expected}"), "{text}");
    }
}

#[test]
fn a_value_that_does_not_count_is_named() {
    let inventory = from_text("inv.ini", "[a]\nh x=1\n[b]\nh x=2\n").unwrap();
    assert_eq!(inventory.warnings, ["inv.ini:4:3: h.x: counts instead of the value at line 2"]);
}
