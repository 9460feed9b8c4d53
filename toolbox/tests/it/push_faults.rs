//! Pushes over lines that break, to engines that die, and to hosts that change or fill up meanwhile.

use toolbox_line::WORST;

use crate::engine::archive_with;
use crate::line::Line;
use crate::machine::{Kind, Make, READY, Store};
use crate::push::{Setting, noise_of};

/// Cuts the line at three places, and looks that nothing is tagged and the next push works. Returns what was said at
/// each of those.
fn cut_at_three_places(setting: &Setting, line: &Line, length: usize) -> Vec<String> {
    let engine = setting.machine.engine();
    let image = || engine.docker(&["image", "ls", "--quiet", "--no-trunc", &setting.image]);
    let mut said = Vec::new();
    for percent in [1, 50, 99] {
        setting.saves(&noise_of(percent as u64, length));
        let before = image();
        line.breaks_after(length / 100 * percent);
        setting.project.toolbox(&setting.arguments(&["--reconnect", "0"])).exits(1).hint(&["again"]);
        assert_eq!(image(), before, "{percent} per cent");
        line.goes_on();
        said.push(setting.push().exits(0).stderr);
        assert_ne!(image(), before, "{percent} per cent");
        setting.is_whole();
    }
    said
}

#[test]
fn stream_that_is_cut_anywhere_leaves_nothing_and_the_next_push_works() {
    let Some(setting) = Setting::on("push-cut", Make::Own) else {
        return;
    };
    let line = Line::lay(&setting.machine, &setting.project);
    let said = cut_at_three_places(&setting, &line, 3 << 20);
    assert!(said.iter().all(|said| !said.contains("kept from")), "{said:?}");
}

#[test]
fn receiver_that_is_cut_off_anywhere_keeps_what_has_arrived() {
    let Some(setting) = Setting::on("push-cut-far", Make::Own) else {
        return;
    };
    let line = Line::lay_long(&setting.machine, &setting.project);
    let said = cut_at_three_places(&setting, &line, 24 << 20);
    assert!(said[1..].iter().all(|said| said.contains("kept from an earlier push")), "{said:?}");
}

#[test]
fn images_arrive_where_packets_take_long_and_get_lost() {
    let Some(setting) = Setting::on("push-worst", Make::Own) else {
        return;
    };
    let Some(line) = setting.machine.line("push-worst", WORST) else {
        return;
    };
    let setting = Setting { project: setting.project.over(&line, &setting.machine), ..setting };
    setting.saves(&noise_of(1, 300_000));
    setting.push().exits(0);
    setting.is_whole();
    let setting = setting.with_spool();
    setting.saves(&noise_of(2, 1_000_000));
    let run = setting.push().exits(0);
    assert!(!run.stderr.contains("in one stream"), "{}", run.stderr);
    setting.is_whole();
}

#[test]
fn engine_that_dies_while_it_reads_a_stream_is_told_and_the_next_push_works() {
    let Some(setting) = Setting::on("push-dies", Make::Own) else {
        return;
    };
    let line = Line::lay(&setting.machine, &setting.project);
    setting.saves(&noise_of(1, 12 << 20));
    line.stops_after(6 << 20);
    let running = setting.project.start(&setting.arguments(&["--reconnect", "0"]));
    line.has_stopped();
    setting.machine.restart_engine();
    line.goes_on();
    running.ends().exits(1).hint(&["again"]);
    assert_eq!(setting.machine.engine().docker(&["image", "ls", "--quiet", &setting.image]), "");
    setting.push().exits(0);
    setting.is_whole();
}

#[test]
fn line_that_breaks_is_laid_anew_and_what_has_arrived_stays() {
    let Some(setting) = Setting::on("push-anew", Make::Own) else {
        return;
    };
    let line = Line::lay_long(&setting.machine, &setting.project);
    setting.saves(&noise_of(1, 24 << 20));
    line.breaks_wholly_after(12 << 20);
    let running = setting.project.start(&setting.arguments(&[]));
    line.has_broken_wholly();
    line.goes_on();
    running.ends().exits(0).tells("trying again in 1 s").tells("kept from an earlier push");
    setting.is_whole();
}

#[test]
fn deploy_whose_lock_is_lost_with_the_line_ends_and_the_next_one_goes_on() {
    let Some(setting) = Setting::on("push-lock", Make::Own) else {
        return;
    };
    let line = Line::lay_long(&setting.machine, &setting.project);
    setting.saves(&noise_of(1, 24 << 20));
    setting.project.compose(&format!("services:\n  web:\n    image: {}\n", setting.image));
    let deploy = ["deploy", "--images", "images.tar"];
    line.breaks_wholly_after(16 << 20);
    let running = setting.project.start(&deploy);
    line.has_broken_wholly();
    line.goes_on();
    running.ends().exits(1).error(&["vm: the lock of the project was lost"]).hint(&["deploy again"]);
    setting.project.toolbox(&deploy).exits(0).tells("kept from an earlier push");
    setting.project.toolbox(&["status"]).exits(0).prints("running");
}

#[test]
fn engine_that_comes_back_gets_the_stream_anew() {
    let Some(setting) = Setting::on("push-comes-back", Make::Own) else {
        return;
    };
    let line = Line::lay(&setting.machine, &setting.project);
    setting.saves(&noise_of(1, 12 << 20));
    line.stops_after(6 << 20);
    let running = setting.project.start(&setting.arguments(&[]));
    line.has_stopped();
    setting.machine.restart_engine();
    line.goes_on();
    running.ends().exits(0).tells("trying again in 1 s");
    setting.is_whole();
}

/// Somebody removes the image whose layers were seen, before the first byte of the new one arrives.
fn base_goes(test: &str, make: Make) {
    let Some(setting) = Setting::on(test, make) else {
        return;
    };
    let engine = setting.machine.engine();
    let setting = setting.with_cache();
    setting.saves(b"one");
    setting.push().exits(0);
    setting.saves(b"two");
    let line = Line::lay(&setting.machine, &setting.project);
    line.stops_after(1);
    let running = setting.project.start(&setting.arguments(&[]));
    line.has_stopped();
    engine.docker(&["image", "rm", "--force", &setting.image]);
    line.goes_on();
    running.ends().exits(0).tells("1 of 2 layers").tells("sending everything: ");
    setting.is_whole();
    setting.saves(b"three");
    let run = setting.push().exits(0).tells("1 of 2 layers");
    assert!(!run.stderr.contains("sending everything"), "{}", run.stderr);
}

#[test]
fn base_that_goes_meanwhile_costs_the_whole_image_on_this_machines_engine() {
    base_goes("push-base", Make::Own);
}

#[test]
fn base_that_goes_meanwhile_costs_the_whole_image_on_engine_26_containerd() {
    base_goes("push-base-26s", Make::Docker("26", Store::Containerd));
}

#[test]
fn base_that_goes_meanwhile_costs_the_whole_image_on_engine_28_containerd() {
    base_goes("push-base-28s", Make::Docker("28", Store::Containerd));
}

#[test]
fn base_that_goes_meanwhile_costs_the_whole_image_on_engine_28_classic() {
    base_goes("push-base-28c", Make::Docker("28", Store::Classic));
}

/// Room by bytes, which is all that can be seen before, and not for this many files.
fn disk_fills_up(test: &str, make: Make) {
    let kind = Kind { disk: "512m,nr_inodes=1500", make, ..READY };
    let Some(setting) = Setting::of(test, &kind) else {
        return;
    };
    let names: Vec<String> = (0..3000).map(|n| format!("file{n}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    std::fs::write(setting.project.path("images.tar"), archive_with(&setting.image, &files)).unwrap();
    let run =
        setting.push().exits(1).error(&["vm: ", "no space left on device", "on the host's disk, ", " are free now"]);
    run.hint(&["make room on the host", "df -i"]);
    let names = setting.machine.engine().docker(&["image", "ls", "--format", "{{.Repository}}"]);
    assert!(!names.contains(&setting.project.name), "{names}");
    setting.saves(b"small");
    setting.push().exits(0);
    setting.is_whole();
}

#[test]
fn disk_that_fills_up_leaves_nothing_tagged_on_this_machines_engine() {
    disk_fills_up("push-full", Make::Own);
}

#[test]
fn disk_that_fills_up_leaves_nothing_tagged_on_engine_26_containerd() {
    disk_fills_up("push-full-26s", Make::Docker("26", Store::Containerd));
}

#[test]
fn disk_that_fills_up_leaves_nothing_tagged_on_engine_28_containerd() {
    disk_fills_up("push-full-28s", Make::Docker("28", Store::Containerd));
}

#[test]
fn over_a_near_line_that_is_slow_a_large_image_goes_through_a_receiver_on_engine_26() {
    // To an engine that reads gzip only, a large one always does.
    let Some(setting) = Setting::on("push-slow", Make::Docker("26", Store::Classic)) else {
        return;
    };
    let _line = Line::lay_slow(&setting.machine, &setting.project);
    let images = || setting.machine.engine().docker(&["image", "ls", "--format", "{{.Repository}}"]);
    // Bytes that shrink to nothing, so that the test does not take as long as it was expected.
    let small = archive_with("small:1", &[("data", &vec![0; 24 << 20])]);
    std::fs::write(setting.project.path("small.tar"), small).unwrap();
    setting.project.toolbox(&["push", "--images", "small.tar", "small:1"]).exits(0);
    assert!(!images().contains("toolbox-relay"), "{}", images());
    setting.saves(&vec![1; 72 << 20]);
    setting.push().exits(0);
    assert!(images().contains("toolbox-relay"), "{}", images());
    setting.is_whole();
}
