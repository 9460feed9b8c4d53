//! What the project relies on of the Engine API, asked of a real engine: commands, files, names of images.

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use toolbox::engine::{Engine as _, HelperSpec};
use toolbox::image::Reference;

use crate::engine_world::{World, command};

#[tokio::test]
async fn a_command_gets_its_input_and_its_end_and_gives_both_outputs_and_its_status() {
    let Some(world) = World::new("exec").await else { return };
    let id = world.helper(HelperSpec::default()).await;
    // More than any buffer on the way, in both directions at once.
    let input: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let ended = world.engine.exec(&id, &command(&["echo", "3"]), &input).await.unwrap();
    assert_eq!((ended.status, ended.stderr.as_slice()), (3, b"end".as_slice()));
    assert!(ended.stdout == input, "{} of {} bytes came back", ended.stdout.len(), input.len());
    let empty = world.engine.exec(&id, &command(&["echo", "0"]), b"").await.unwrap();
    assert_eq!((empty.status, empty.stdout.len()), (0, 0));
}

#[tokio::test]
async fn a_command_that_does_not_read_its_input_ends_all_the_same() {
    let Some(world) = World::new("deaf").await else { return };
    let id = world.helper(HelperSpec::default()).await;
    let said = world.engine.exec(&id, &command(&["resolve", "localhost"]), &vec![7; 4_000_000]).await.unwrap();
    assert_eq!(said.status, 0);
}

#[tokio::test]
async fn a_command_that_cannot_run_is_no_success() {
    let Some(world) = World::new("missing").await else { return };
    let id = world.helper(HelperSpec::default()).await;
    let missing = world.engine.exec(&id, &["/nothing".to_owned(), "s3cret".to_owned()], b"").await;
    match missing {
        Ok(ended) => assert_ne!(ended.status, 0),
        Err(error) => assert!(!error.to_string().contains("s3cret"), "{error}"),
    }
    world.engine.stop(&id, Some(std::time::Duration::ZERO)).await.unwrap();
    let stopped = world.engine.exec(&id, &command(&["keep"]), b"").await.unwrap_err();
    assert!(stopped.to_string().contains("is not running"), "{stopped}");
}

#[tokio::test]
async fn dropping_the_input_of_a_stream_ends_it_for_the_command() {
    let Some(world) = World::new("halfclose").await else { return };
    let id = world.helper(HelperSpec::default()).await;
    let mut stream = world.engine.exec_stream(&id, &command(&["echo", "0"])).await.unwrap();
    stream.input.write_all(b"one\n").await.unwrap();
    let (is_error, bytes) = stream.output.next().await.unwrap().unwrap();
    assert_eq!((is_error, bytes.as_ref()), (false, b"one\n".as_slice()), "before the end of the input");
    drop(stream.input);
    let (is_error, bytes) = stream.output.next().await.unwrap().unwrap();
    assert_eq!((is_error, bytes.as_ref()), (true, b"end".as_slice()));
    assert!(stream.output.next().await.is_none());
}

#[tokio::test]
async fn a_connection_that_dies_ends_the_commands_input() {
    let Some(world) = World::new("cut").await else { return };
    let id = world.keeper().await;
    let (engine, cable) = world.cable().await;
    let mut stream = engine.exec_stream(&id, &command(&["mark", "/state/gone"])).await.unwrap();
    assert_eq!(stream.output.next().await.unwrap().unwrap().1.as_ref(), b"reading\n");
    cable.cut();
    assert_eq!(world.probe(&id, &["await", "/state/gone"]).await.status, 0);
    assert!(!matches!(stream.output.next().await, Some(Ok(_))), "and this side sees the end");
}

#[tokio::test]
async fn a_command_that_is_cut_off_is_no_success() {
    let Some(world) = World::new("cutexec").await else { return };
    let id = world.keeper().await;
    let (engine, cable) = world.cable().await;
    let container = id.clone();
    let waiting = tokio::spawn(async move { engine.exec(&container, &command(&["hang", "/state/runs"]), b"").await });
    assert_eq!(world.probe(&id, &["await", "/state/runs"]).await.status, 0);
    cable.cut();
    let cut = waiting.await.unwrap().unwrap_err();
    assert!(cut.to_string().contains("cut off"), "{cut}");
}

fn tarball(path: &str, owner: (u64, u64), mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, path, content).unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn files_keep_owner_and_mode_in_a_volume_of_a_container_that_never_ran_and_has_a_read_only_root() {
    let Some(world) = World::new("files").await else { return };
    world.engine.create_plain_volume(&world.name, &[("a".to_owned(), "b".to_owned())].into()).await.unwrap();
    let spec = world.spec(HelperSpec { state_volume: Some(world.name.clone()), ..HelperSpec::default() });
    let id = world.engine.create_helper(&spec).await.unwrap();
    let secret = tarball("files/secret", (70, 71), 0o440, b"content");
    world.engine.put_files(&id, "/state", secret.clone()).await.unwrap();
    let elsewhere = world.engine.put_files(&id, "/", secret).await.unwrap_err();
    assert!(elsewhere.to_string().contains("read-only"), "{elsewhere}");
    world.engine.start(&id).await.unwrap();
    assert_eq!(world.lines(&id, &["stat", "/state/files/secret"]).await, ["70", "71", "440", "permission denied"]);
    let public = tarball("files/public", (70, 71), 0o444, b"content");
    world.engine.put_files(&id, "/state", public).await.unwrap();
    assert_eq!(world.lines(&id, &["stat", "/state/files/public"]).await, ["70", "71", "444", "content"]);
    let labels = world.cli.docker(&["volume", "inspect", "--format", "{{json .Labels}}", &world.name]);
    assert_eq!(labels, r#"{"a":"b"}"#);
    world.engine.create_plain_volume(&world.name, &[].into()).await.unwrap();
}

#[tokio::test]
async fn a_large_file_goes_in_and_comes_out_as_it_was() {
    let Some(world) = World::new("large").await else { return };
    let id = world.keeper().await;
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    world.engine.put_files(&id, "/state", tarball("large", (0, 0), 0o600, &content)).await.unwrap();
    let back = world.engine.get_files(&id, "/state/large").await.unwrap().unwrap();
    let back = toolbox::image::records(&back).unwrap();
    assert!(back == [("large".to_owned(), content)]);
    assert_eq!(world.engine.get_files(&id, "/state/nothing").await.unwrap(), None);
    assert_eq!(world.engine.get_files("no-such-container", "/state").await.unwrap(), None);
}

#[tokio::test]
async fn an_image_stays_as_long_as_it_has_a_name_or_a_container() {
    let Some(world) = World::new("names").await else { return };
    let pin = Reference::parse(&format!("toolbox.local/{}/web:20261122-175437", world.name)).unwrap();
    let facts = world.engine.image_facts(&world.image).await.unwrap().unwrap();
    world.engine.tag(&facts.id, &pin).await.unwrap();
    assert!(world.engine.image_facts(&pin.full()).await.unwrap().unwrap().same_content(&facts));
    world.engine.untag(&world.image).await.unwrap();
    world.engine.untag(&world.image).await.unwrap();
    let id = world.engine.create_helper(&HelperSpec { image: pin.full(), ..world.spec(HelperSpec::default()) }).await;
    world.engine.untag(&pin.full()).await.unwrap();
    assert!(world.engine.image_facts(&pin.full()).await.unwrap().is_some(), "a container needs it");
    world.engine.remove(&id.unwrap(), true).await.unwrap();
    world.engine.untag(&pin.full()).await.unwrap();
    assert!(world.engine.image_facts(&pin.full()).await.unwrap().is_none());
    assert!(world.engine.image_facts(&facts.id).await.unwrap().is_none(), "it went with its last name");
}

#[tokio::test]
async fn a_volume_says_where_it_is_on_the_host() {
    let Some(world) = World::new("where").await else { return };
    let id = world.keeper().await;
    let root = world.engine.observe("none").await.unwrap().data_root;
    let path = world.engine.mountpoint(&world.name).await.unwrap();
    assert_eq!(path, format!("{root}/volumes/{}/_data", world.name));
    world.engine.put_files(&id, "/state", tarball("seen", (0, 0), 0o600, b"there")).await.unwrap();
    assert_eq!(std::fs::read(format!("{path}/seen")).unwrap(), b"there");
    assert!(world.engine.mountpoint("no-such-volume").await.unwrap_err().is_not_found());
}
