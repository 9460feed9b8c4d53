//! Inventories as a whole.

mod corpus;
mod hostile;
mod ini;
mod seeds;

use std::path::Path;

use serde_json::json;

use super::draft::Draft;
use super::vars_files::VarsFiles;
use super::{AddressPool, Host, Inventory, LogRotation, sources};
use crate::yaml::Sink;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHPZpRZ8mV6ClMGYdRZPTmSTsiKcXJb5xbTzfVpO8Rk";

fn from_text(path: &str, text: &str) -> Result<Inventory, String> {
    let (sink, mut draft) = (Sink::default(), Draft::new());
    sources::read_as(&mut draft, Path::new(path), text, &sink);
    let files = VarsFiles::new(Vec::new(), None, &sink);
    sources::finish(&draft, Path::new(path), &files, &sink).map_err(|problems| problems.to_string())
}

fn read(text: &str) -> Result<Inventory, String> {
    from_text("inv.yaml", text)
}

fn inventory(text: &str) -> Inventory {
    read(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

fn names<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> String {
    hosts.into_iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(" ")
}

const FLEET: &str = "
all:
  vars: {ansible_user: all, level: all, only_all: 1}
  hosts: {lone: , web1: {level: host}}
  children:
    eu:
      vars: {level: parent, ansible_port: 2222}
      children:
        web: {hosts: {'web[1:3]': }, vars: {level: child}}
        app: {hosts: {web3: , app1: }, vars: {level: app}}
db:
  hosts: {'db-[a:b].example': {ansible_host: 10.0.0.9}}
";

#[test]
fn variables_follow_ansibles_precedence() {
    let inventory = inventory(FLEET);
    let level = |name: &str| inventory.hosts[name].variables["level"].clone();
    assert_eq!(level("lone"), "all");
    assert_eq!(level("web1"), "host");
    assert_eq!(level("web2"), "child");
    assert_eq!(level("app1"), "app");
    // Two groups of the same depth: the later name wins.
    assert_eq!(level("web3"), "child");
    assert_eq!(inventory.hosts["web2"].port, 2222);
    assert_eq!(inventory.hosts["lone"].port, 22);
    assert_eq!(inventory.hosts["db-a.example"].address, "10.0.0.9");
    assert!(inventory.hosts.values().all(|host| host.user.as_deref() == Some("all")));
    assert_eq!(inventory.hosts["app1"].variables["only_all"], json!(1));
}

#[test]
fn groups_hold_the_hosts_of_their_children() {
    let inventory = inventory(FLEET);
    let group = |name: &str| inventory.groups[name].iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(group("eu"), "web1 web2 web3 app1");
    assert_eq!(group("web"), "web1 web2 web3");
    assert_eq!(group("ungrouped"), "lone");
    assert_eq!(group("all"), "lone web1 db-a.example db-b.example web2 web3 app1");
}

#[test]
fn a_group_below_two_parents_counts_its_longest_way() {
    let inventory = inventory(
        "a: {children: {b: {children: {z: }}}, vars: {v: a}}\nc: {children: {z: }, vars: {v: c}}\nz: {hosts: {h: }}\nb: {vars: {v: b}}\n",
    );
    assert_eq!(inventory.hosts["h"].variables["v"], "b");
}

#[test]
fn connection_variables_become_fields_and_others_are_kept() {
    let inventory = inventory(&format!(
        "all:\n  hosts:\n    h:\n      ansible_host: '[2001:db8::1]'\n      ansible_port: '2022'\n      ansible_user: deploy\n      ansible_become: yes\n      ansible_become_method: sudo\n      ansible_ssh_private_key_file: ~/.ssh/id\n      ansible_python_interpreter: /usr/bin/python3\n      toolbox_host_key: ['{KEY} root@h']\n      toolbox_socket: /run/user/1000/docker.sock\n      app: {{a: [1, x]}}\n      template: '{{{{ other }}}}'\n      secret: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n"
    ));
    let host = &inventory.hosts["h"];
    assert_eq!((host.address.as_str(), host.port, host.user.as_deref()), ("2001:db8::1", 2022, Some("deploy")));
    assert!(host.become_root);
    assert_eq!(host.host_keys, [KEY]);
    assert_eq!(host.socket.as_deref(), Some("/run/user/1000/docker.sock"));
    assert_eq!(host.private_key_file.as_deref(), Some(Path::new("~/.ssh/id")));
    assert_eq!(host.variables["app"], json!({"a": [1, "x"]}));
    assert_eq!(host.variables["template"], "{{ other }}");
}

#[test]
fn settings_of_the_engine_are_read_from_either_form() {
    let yaml =
        "all: {vars: {toolbox_live_restore: yes}, hosts: {h: {toolbox_log_rotation: {max_size: 10m, max_file: 3}}}}";
    let settings = &inventory(yaml).hosts["h"].engine;
    assert_eq!(settings.live_restore, Some(true));
    assert_eq!(settings.log_rotation, Some(LogRotation { max_size: "10m".into(), max_file: Some(3) }));
    assert_eq!(settings.address_pools, None);
    let ini = from_text("inv.ini", "h toolbox_address_pools='[{\"base\": \"10.1.0.0/16\", \"size\": 24}]'\n").unwrap();
    let pools = vec![AddressPool { base: "10.1.0.0/16".into(), size: 24 }];
    assert_eq!(ini.hosts["h"].engine.address_pools, Some(pools));
    assert!(Inventory::single("h").unwrap().hosts["h"].engine.is_empty());
}

#[test]
fn key_files_begin_at_the_inventorys_directory_and_follow_precedence() {
    let text = "all:\n  vars: {ansible_ssh_private_key_file: keys/all}\n  hosts:\n    a:\n    b: {ansible_private_key_file: /abs/b}\n    \
                c: {ansible_ssh_private_key_file: ~/c}\n    d: {ansible_ssh_private_key_file: ''}\n";
    let inventory = from_text("dir/inv.yaml", text).unwrap();
    let file = |host: &str| inventory.hosts[host].private_key_file.as_deref();
    assert_eq!(file("a"), Some(Path::new("dir/keys/all")));
    assert_eq!(file("c"), Some(Path::new("~/c")));
    assert_eq!(file("d"), None);
    // The longer name is the one that counts where both are set.
    assert_eq!(file("b"), Some(Path::new("dir/keys/all")));
    let other = read("all: {hosts: {a: {ansible_ssh_private_key_file: ~bob/id}}}\n").unwrap_err();
    assert!(other.contains("only ~/… is supported"), "{other}");
}

#[test]
fn a_port_may_stand_in_the_hosts_name() {
    let inventory = inventory("all: {hosts: {'a:2222': , 'b[1:2]:23': , '::1': }}");
    let ports: Vec<_> = inventory.hosts.values().map(|host| format!("{} {}", host.name, host.port)).collect();
    assert_eq!(ports, ["a 2222", "b1 23", "b2 23", "::1 22"]);
}

#[test]
fn problems_name_their_place() {
    for (text, expected) in [
        ("", " holds no hosts (write all: {hosts: {web: }}, or [web] and a line for each host)"),
        ("all: {}\n", " holds no hosts (write all: {hosts: {web: }}, or [web] and a line for each host)"),
        ("[web]\nhost1 x: y\n", "2:1: invalid YAML: did not find expected <document start>"),
        ("- a\n- b\n", "1:1: holds no groups (write all: {hosts: {web: }}, or [web] and a line for each host)"),
        ("all: {host: {a: }}\n", "1:7: all.host: unknown key (did you mean hosts?)"),
        ("all: {hosts: [a]}\n", "1:14: all.hosts: must be a mapping, not a list"),
        ("all: {hosts: {'a[3:1]': }}\n", "1:15: all.hosts.a[3:1]: [3:1] is no range; write [01:20], [a:f] or [0:10:2]"),
        ("all: {hosts: {a b: }}\n", "1:15: all.hosts.a b: \"a b\" is no name of a host"),
        ("all: {hosts: {a: {ansible_port: 0}}}\n", "1:33: all.hosts.a.ansible_port: \"0\" is no port from 1 to 65535"),
        (
            "all: {hosts: {a: {ansible_user: '{{ me }}'}}}\n",
            "1:33: all.hosts.a.ansible_user: templates are not supported in a value that toolbox needs (write the value itself)",
        ),
        (
            "all: {hosts: {a: {ansible_user: !vault x}}}\n",
            "1:33: all.hosts.a.ansible_user: is encrypted by Ansible Vault, which toolbox does not open (write the value itself, or keep it out of the inventory)",
        ),
        (
            "all: {hosts: {a: {ansible_host: -oProxyCommand}}}\n",
            "1:33: all.hosts.a.ansible_host: \"-oProxyCommand\" is no address",
        ),
        (
            "all: {hosts: {a: }, vars: {ansible_ssh_common_args: -o 'x}}\n",
            "1:53: all.vars.ansible_ssh_common_args: has a quote ' that is not closed",
        ),
        (
            "all: {hosts: {a: {ansible_port: [22]}}}\n",
            "1:33: all.hosts.a.ansible_port: must be a single value, not a list",
        ),
        (
            "all: {hosts: {a: }, vars: {ansible_group_priority: x}}\n",
            "1:52: all.vars.ansible_group_priority: must be a whole number",
        ),
        (
            "plugin: aws_ec2\n",
            "1:9: plugin: inventory plugins are not run (write it out: ansible-inventory -i FILE --list --yaml --output inventory.yaml)",
        ),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n00\n",
            " is encrypted by Ansible Vault, which toolbox does not open (keep what is secret in group_vars, and the hosts outside of the vault)",
        ),
        (
            "all: {hosts: {a: {ansible_connection: local}}}\n",
            "1:39: all.hosts.a.ansible_connection: only ssh is supported",
        ),
        (
            "all: {hosts: {a: {ansible_become_method: runas}}}\n",
            "1:42: all.hosts.a.ansible_become_method: only sudo, su and doas are supported",
        ),
        (
            "all: {hosts: {a: {ansible_password: hidden}}}\n",
            "1:37: all.hosts.a.ansible_password: passwords are not supported yet; use a key",
        ),
        (
            "all: {hosts: {a: {ansible_host_key_checking: false}}}\n",
            "1:46: all.hosts.a.ansible_host_key_checking: host keys are always checked",
        ),
        (
            "all: {hosts: {a: {toolbox_hostkey: x}}}\n",
            "1:36: all.hosts.a.toolbox_hostkey: unknown variable (did you mean toolbox_host_key?)",
        ),
        (
            "all: {hosts: {a: {toolbox_socket: x}}}\n",
            "1:35: all.hosts.a.toolbox_socket: must be the absolute path of a socket, not \"x\"",
        ),
        (
            "all: {hosts: {a: {toolbox_log_rotation: {max_file: 3}}}}\n",
            "1:41: all.hosts.a.toolbox_log_rotation: max_size is missing",
        ),
        (
            "all: {hosts: {a: {toolbox_log_rotation: {max_size: big}}}}\n",
            "1:52: all.hosts.a.toolbox_log_rotation.max_size: must be a size such as 10m, not \"big\"",
        ),
        (
            "all: {hosts: {a: {toolbox_live_restore: maybe}}}\n",
            "1:41: all.hosts.a.toolbox_live_restore: must be true or false, not \"maybe\"",
        ),
        (
            "all: {hosts: {a: {toolbox_address_pools: [{base: 10.1.0.0/16, size: 8}]}}}\n",
            "1:69: all.hosts.a.toolbox_address_pools[0].size: must be from 16 to 32",
        ),
        (
            "all: {hosts: {a: {toolbox_address_pools: [{base: '{{ net }}', size: 24}]}}}\n",
            "1:50: all.hosts.a.toolbox_address_pools[0].base: templates are not supported in a value that toolbox needs (write the value itself)",
        ),
        (
            "all: {hosts: {a: {toolbox_package_proxy: yes}}}\n",
            "1:42: all.hosts.a.toolbox_package_proxy: must be auto, always or never, not \"yes\"",
        ),
        (
            "a: {children: {b: }}\nb: {children: {c: }}\nc: {children: {a: }, hosts: {h: }}\n",
            "1:17: a.children.b: the groups hold each other: a -> b -> c -> a",
        ),
        ("a: {children: {a: {hosts: {h: }}}}\n", "1:19: a.children.a: the groups hold each other: a -> a"),
    ] {
        assert_eq!(read(text).unwrap_err(), format!("inv.yaml:{expected}"), "{text}");
    }
}

#[test]
fn a_variable_that_is_set_twice_counts_the_last_time_and_is_named() {
    let inventory = inventory("w: {hosts: {a: {x: 1}}}\nv: {hosts: {a: {x: 2}}}\n");
    assert_eq!(inventory.hosts["a"].variables["x"], json!(2));
    assert_eq!(inventory.warnings, ["inv.yaml:2:20: v.hosts.a.x: counts instead of the value at line 1"]);
}

#[test]
fn passwords_are_in_no_variable_and_in_no_debug_output() {
    for name in ["ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"] {
        let inventory = inventory(&format!("all: {{hosts: {{a: {{{name}: hidden-word}}}}}}\n"));
        let host = &inventory.hosts["a"];
        assert_eq!(host.become_password.as_ref().map(super::Password::expose), Some("hidden-word"));
        let shown = format!("{host:?} {}", serde_json::to_string(&host).unwrap());
        assert!(!shown.contains("hidden-word") && host.variables.is_empty(), "{shown}");
    }
}

#[test]
fn root_may_be_become_by_sudo_su_and_doas() {
    let inventory = inventory(
        "all: {hosts: {a: , b: {ansible_become: true, ansible_become_method: su}, c: {ansible_become_method: DOAS}}}\n",
    );
    let methods: Vec<_> = inventory.hosts.values().map(|host| host.become_method.to_string()).collect();
    assert_eq!(methods, ["sudo", "su", "doas"]);
}

#[test]
fn authorities_may_be_pinned_and_keys_listed() {
    let inventory = inventory(&format!(
        "all: {{hosts: {{a: {{toolbox_host_key: ['@cert-authority {KEY} ca', '{KEY}', '@revoked {KEY}']}}}}}}"
    ));
    assert_eq!(inventory.hosts["a"].host_keys, [&format!("@cert-authority {KEY}"), KEY, &format!("@revoked {KEY}")]);
}

#[test]
fn arguments_of_ssh_become_words() {
    let text = "all: {hosts: {a: {ansible_ssh_extra_args: -v}}, vars: {ansible_ssh_common_args: \"-o 'ProxyJump b,c' -J  d\"}}\n";
    assert_eq!(inventory(text).hosts["a"].ssh_args, ["-o", "ProxyJump b,c", "-J", "d", "-v"]);
}

#[test]
fn programs_and_toml_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text, expected) in [
        ("ec2", "#!/usr/bin/python3\n", "is a program: dynamic inventories are not run"),
        ("elf", "\x7fELF", "is a program: dynamic inventories are not run"),
        ("hosts.toml", "[web.hosts]\n", "inventories in TOML are not read"),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let said = Inventory::from_file(&path).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{}: {expected} (write it out: ", path.display())), "{said}");
    }
}

#[test]
fn a_vault_in_group_vars_is_named_and_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("hosts", "[web]\nweb1\n");
    write("group_vars/web/plain.yml", "ansible_user: deploy\n");
    write("group_vars/web/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n3132\n");
    let inventory = Inventory::from_file(&directory.path().join("hosts")).unwrap();
    assert_eq!(inventory.hosts["web1"].user.as_deref(), Some("deploy"));
    let [warning] = &inventory.warnings[..] else { panic!("{:?}", inventory.warnings) };
    assert!(
        warning.ends_with(
            "group_vars/web/vault.yml: is encrypted by Ansible Vault: the variables in it are not known here"
        )
    );
    write("group_vars/all.yml", "- no\n- mapping\n");
    let said = Inventory::from_file(&directory.path().join("hosts")).unwrap_err().to_string();
    assert!(said.ends_with("group_vars/all.yml:1:1: must be a mapping, not a list"), "{said}");
}

#[test]
fn host_keys_must_be_public_keys() {
    for key in ["", "SHA256:abc", "ssh-ed25519", "ssh-ed25519 AAAA", &format!("host {KEY}")] {
        let said = read(&format!("all: {{hosts: {{a: {{toolbox_host_key: '{key}'}}}}}}")).unwrap_err();
        assert!(said.starts_with("inv.yaml:1:37: all.hosts.a.toolbox_host_key: is no public key: "), "{key}: {said}");
        assert!(said.ends_with("(write ssh-ed25519 AAAA…)"), "{said}");
    }
}

#[test]
fn limits_choose_hosts_like_ansible_does() {
    let inventory = inventory(FLEET);
    for (limit, expected) in [
        (vec![], "app1 db-a.example db-b.example lone web1 web2 web3"),
        (vec!["all"], "app1 db-a.example db-b.example lone web1 web2 web3"),
        (vec!["web1"], "web1"),
        (vec!["web"], "web1 web2 web3"),
        (vec!["web1,lone"], "lone web1"),
        (vec!["web1:lone"], "lone web1"),
        (vec!["web1", "lone"], "lone web1"),
        (vec!["web:!web2"], "web1 web3"),
        (vec!["!eu"], "db-a.example db-b.example lone"),
        (vec!["web:&app"], "web3"),
        (vec!["!web3:&app:web"], ""),
        (vec!["web*"], "web1 web2 web3"),
        (vec!["*.example"], "db-a.example db-b.example"),
        (vec!["web?,!*3"], "web1 web2"),
    ] {
        let limit: Vec<String> = limit.into_iter().map(str::to_owned).collect();
        match inventory.select(&limit) {
            Ok(hosts) => assert_eq!(names(hosts), expected, "{limit:?}"),
            Err(error) => {
                assert_eq!((expected, error.to_string().as_str()), ("", "no host is left of \"!web3,&app,web\""))
            }
        }
    }
}

#[test]
fn limits_that_match_nothing_are_refused() {
    let inventory = inventory(FLEET);
    for (limit, expected) in [
        ("wbe1", "no host or group of the inventory matches \"wbe1\" (did you mean web1?)"),
        ("all:!zebra", "no host or group of the inventory matches \"zebra\""),
        ("x*", "no host or group of the inventory matches \"x*\""),
        ("~(web", "the pattern \"~(web\" is no regular expression that is known here: unclosed group"),
        (
            "~web(?=1)",
            "the pattern \"~web(?=1)\" is no regular expression that is known here: look-around, including look-ahead and look-behind, is not supported",
        ),
        ("web[7]", "the pattern \"web[7]\" has no host at its position: 3 match"),
        ("web[-4]", "the pattern \"web[-4]\" has no host at its position: 3 match"),
        ("web[3:]", "the pattern \"web[3:]\" has no host at its position: 3 match"),
        ("@/nowhere/x", "the file of patterns /nowhere/x: cannot open: No such file or directory (os error 2)"),
    ] {
        assert_eq!(inventory.select(&[limit.to_owned()]).unwrap_err().to_string(), expected);
    }
}

#[test]
fn ipv6_names_are_not_taken_apart() {
    let inventory = Inventory::single("root@2001:db8::5").unwrap();
    assert_eq!(names(inventory.select(&["2001:db8::5".to_owned()]).unwrap()), "2001:db8::5");
}

#[test]
fn a_missing_file_is_named() {
    let said = Inventory::from_file(Path::new("/nowhere/i.yaml")).unwrap_err().to_string();
    assert_eq!(said, "/nowhere/i.yaml: cannot open: No such file or directory (os error 2)");
}

#[test]
fn the_repositorys_own_file_loads() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inventory.yaml");
    let inventory = Inventory::from_file(&file).unwrap_or_else(|problems| panic!("{problems}"));
    let vm = &inventory.hosts["vm"];
    assert_eq!((vm.address.as_str(), vm.port, vm.user.as_deref()), ("vm", 22, Some("root")));
}
