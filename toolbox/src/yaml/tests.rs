//! What the node reader accepts, refuses, and says about it.

use std::path::Path;

use super::{Node, Sink, Value, parse};

/// The tree as compact text; `'x'` marks what was quoted.
fn show(node: &Node) -> String {
    match &node.value {
        Value::Null => "~".into(),
        Value::Scalar { text, plain: true } => text.clone(),
        Value::Scalar { text, .. } => format!("'{text}'"),
        Value::Seq(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let entries: Vec<_> = entries.iter().map(|e| format!("{}:{}", e.key, show(&e.value))).collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

fn tree(text: &str) -> String {
    let sink = Sink::default();
    let root = parse(Path::new("f.yaml"), text, &sink);
    show(&sink.finish(root).unwrap_or_else(|problems| panic!("{text}: {problems}")))
}

fn problems(text: &str) -> String {
    let sink = Sink::default();
    let root = parse(Path::new("f.yaml"), text, &sink);
    sink.finish(root).map(|root| show(&root)).unwrap_err().to_string()
}

#[test]
fn scalars_keep_the_text_that_was_written() {
    assert_eq!(
        tree("a: 1.10\nb: '1'\nc: ~\nd:\ne: 0x10\nf: !!str true\nh: ! 12\ng: \"\"\n"),
        "{a:1.10,b:'1',c:~,d:~,e:0x10,f:'true',h:'12',g:''}"
    );
}

#[test]
fn an_empty_file_is_null() {
    assert_eq!(tree(""), "~");
    assert_eq!(tree("# only a comment\n"), "~");
}

#[test]
fn aliases_and_merges_are_followed() {
    assert_eq!(
        tree("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {b: 4, <<: [{c: 5}, *x]}\nw: *x\n"),
        "{x:{a:1,b:2},y:{b:3,a:1},z:{b:4,c:5,a:1},w:{a:1,b:2}}"
    );
}

#[test]
fn problems_name_line_column_and_path() {
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: duplicate key (first at line 1)"),
        ("s:\n  w:\n    - x: 1\n      x: 2\n", "f.yaml:4:7: s.w[0].x: duplicate key (first at line 3)"),
        ("a: !vault x\n", "f.yaml:1:4: a: the tag !vault is not supported"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: more than one YAML document in the file"),
        ("a: [1, 2\n", "f.yaml:2:1: invalid YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("a: b: c\n", "f.yaml:1:5: invalid YAML: mapping values are not allowed in this context"),
        ("a: *b\n", "f.yaml:1:4: invalid YAML: while parsing node, found unknown anchor"),
        ("a: &a [*a]\n", "f.yaml:1:8: an alias inside its own anchor"),
        ("? [a]\n: b\n", "f.yaml:1:3: a key must be a single value, not a list"),
        ("a: {<<: 3}\n", "f.yaml:1:9: a.<<: must be a mapping or a list of mappings"),
    ] {
        assert_eq!(problems(text), expected, "{text}");
    }
}

#[test]
fn several_problems_are_shown_together() {
    assert_eq!(
        problems("a: 1\na: 2\nb: {c: 1, c: 2}\n"),
        "f.yaml:2:1: a: duplicate key (first at line 1)\nf.yaml:3:11: b.c: duplicate key (first at line 3)"
    );
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..20 {
        let below = vec![format!("*a{}", level - 1); 10].join(",");
        text += &format!("a{level}: &a{level} [{below}]\n");
    }
    assert!(problems(&text).ends_with("too large once its aliases are followed"), "{}", problems(&text));
}

#[test]
fn aliased_text_is_bounded_too() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 40].join(","));
    assert!(problems(&text).ends_with("too large once its aliases are followed"));
}

#[test]
fn deep_nesting_is_refused_without_exhausting_the_stack() {
    for text in ["- ".repeat(200_000), "[".repeat(200_000), "{a: ".repeat(100_000)] {
        let said = problems(&text);
        assert!(said.contains("nested deeper than 64 levels") || said.contains("recursion limit"), "{said}");
    }
}

#[test]
fn aliases_do_not_get_around_the_depth_limit() {
    let mut text = format!("a0: &a0 {}{}\n", "[".repeat(30), "]".repeat(30));
    for level in 1..10 {
        text += &format!("a{level}: &a{level} {}*a{}{}\n", "[".repeat(30), level - 1, "]".repeat(30));
    }
    assert!(problems(&text).contains("nested deeper than 64 levels"));
}
