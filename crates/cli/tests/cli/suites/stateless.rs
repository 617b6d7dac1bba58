//! MCP 2026-07-28 as others and we speak it: subscriptions that stay open, and
//! arguments that a definition wants in headers too.

use std::process::Command;

use super::node;
use super::protocol::{before, everything};
use crate::stock_clients::{Program, clients};

#[test]
fn a_stock_client_listens_hears_what_is_its_own_and_ends_with_its_delegation() {
    let (_server, direct) = everything();
    let (mut world, mut connect, through, chain) = before(&direct, "some");
    let mut client = Command::new(node());
    let client = Program::start(client.arg(clients().join("listen.mjs")).arg(&through));
    for _ in 0..4 {
        let said = client.expect("check");
        assert_eq!(said["ok"], true, "{said}");
    }
    client.expect("listening");
    world.ok(&["revoke", "delegation", "--chain", &chain.path(), "--reason", "done"]);
    assert_eq!(client.expect("closed")["by"], "remote");
    drop(connect.child.kill());
    world.stop_serve();
}

#[test]
fn our_own_clients_repeat_arguments_in_headers_where_the_definition_asks() {
    let (_server, direct) = everything();
    let (mut world, mut connect, _, chain) = before(&direct, "some");
    drop(connect.child.kill());
    let url = format!("{}/mcp/everything", world.public_url);
    let key = world.runner.key_file();
    let path = chain.path();
    let call = ["call", "--url", &url, "--chain", &path, "--key", &key];
    let call = [&call[..], &["test_headers", "region=Zürich"]].concat();
    let called = world.ok(&call);
    assert_eq!(called["result"]["content"][0]["text"], "Zürich", "{called}");
    let script = "import sys\n\
        from bailiwick import Chain, Client, InstanceKeys\n\
        url, key, chain = sys.argv[1:]\n\
        tools = Client(url, InstanceKeys.read(key)).tools('everything', Chain.read(chain))\n\
        print(tools.call('test_headers', region='Zürich')['content'][0]['text'])\n";
    let mut python = Command::new(clients().join("venv/bin/python"));
    python.args(["-c", script, &world.public_url, &key, &path]);
    python.env("PYTHONPATH", clients().join("../sdk/python")).env("PYTHONIOENCODING", "utf-8");
    let out = python.env("PYTHONDONTWRITEBYTECODE", "1").output().expect("python runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(said.trim(), "Zürich", "{}", String::from_utf8_lossy(&out.stderr));
    // Without the header nothing is called: the gateway says which is missing.
    let bare = world.run(&[&call[..], &["--direct"]].concat());
    assert!(bare.status != 0 && bare.out.contains("-32020"), "{}", bare.out);
    world.stop_serve();
}
