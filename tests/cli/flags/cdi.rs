//! CDI devices: `--device VENDOR/CLASS=NAME` and `--gpus`.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use super::line;
use crate::harness::{Output, Room, for_everyone};

/// A file in a folder `cdi` of the room, or `cdi-later`, which goes before it.
fn file(room: &Room, name: &str, text: &str) -> PathBuf {
    let path = room.work().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    room.give(path.parent().unwrap());
    path
}

/// A file of one device `v.org/test=one`, whose edits are the lines of YAML.
fn one(room: &Room, edits: &str) {
    let head = "cdiVersion: 0.6.0\nkind: v.org/test\ndevices:\n- name: one\n  containerEdits:\n";
    let edits: String = edits.lines().map(|line| format!("    {line}\n")).collect();
    file(room, "cdi/one.yaml", &format!("{head}{edits}"));
}

/// `envbox run` as in [`line`], with the room's folders.
#[track_caller]
fn with_cdi(room: &Room, flags: &[&str], script: &str) -> Output {
    line(room, &[], "true").succeeds();
    run(room, &[&["run", "--rm"], flags, &["base", "sh", "-c", script]].concat())
}

#[track_caller]
fn run(room: &Room, words: &[&str]) -> Output {
    let mut command = room.command(words);
    command.env("ENVBOX_CDI_SPEC_DIRS", "cdi:cdi-later");
    room.run(command)
}

const ONE: [&str; 2] = ["--device", "v.org/test=one"];

for_everyone! {
    fn a_device_brings_nodes_variables_and_mounts(room) {
        let data = file(room, "data/file", "from the host\n");
        let folder = data.parent().unwrap().display();
        let text = format!(
            r#"{{"cdiVersion": "0.5.0", "kind": "v.org/test",
            "annotations": {{"a": "b"}},
            "containerEdits": {{"env": ["ALL=yes", "HOME=/there"]}},
            "devices": [
                {{"name": "one", "containerEdits": {{
                    "env": ["ONE=a=b c"],
                    "deviceNodes": [
                        {{"path": "/dev/mine", "hostPath": "/dev/zero", "type": "c", "major": 1,
                          "minor": 5, "permissions": "rw"}},
                        {{"path": "/dev/full"}}],
                    "mounts": [
                        {{"hostPath": "{folder}/file", "containerPath": "/lib/x/lib.so",
                          "options": ["ro", "nosuid", "nodev", "bind"]}},
                        {{"hostPath": "{folder}", "containerPath": "/data",
                          "options": ["rbind", "rprivate", "noexec", "nosuid"]}},
                        {{"hostPath": "tmpfs", "type": "tmpfs", "containerPath": "/data2",
                          "options": ["mode=755", "noexec"]}}]}}}},
                {{"name": "two", "containerEdits": {{"env": ["TWO=2"]}}}}]}}"#
        );
        file(room, "cdi/vendor.json", &text);
        let script = "echo $ALL $HOME $ONE $TWO; head -c 2 /dev/mine | wc -c; cat /lib/x/lib.so; \
            echo x 2>/dev/null >/lib/x/lib.so || echo read-only; cat /data/file; [ -c /dev/full ]; \
            grep -c ' /data .*nosuid.*noexec' /proc/self/mountinfo; \
            grep -c ' /data2 .*noexec.* tmpfs ' /proc/self/mountinfo; \
            grep -c ' /lib/x/lib.so ro,nosuid' /proc/self/mountinfo";
        let said = "yes /there a=b c\n2\nfrom the host\nread-only\nfrom the host\n1\n1\n1\n";
        with_cdi(room, &ONE, script).succeeds().says(said);
        let both = ["--device", "v.org/test=two", "--device", "v.org/test=one", "-e", "ALL=no"];
        with_cdi(room, &both, "echo $ALL $ONE $TWO").succeeds().says("yes a=b c 2\n");
    }

    fn gpus_are_dockers_names_of_devices(room) {
        let text = "cdiVersion: 1.0.0\nkind: nvidia.com/gpu\ndevices:\n\
            - {name: all, containerEdits: {env: [GPU=all]}}\n\
            - {name: '0', containerEdits: {env: [GPU0=0]}}\n\
            - {name: '1', containerEdits: {env: [GPU1=1]}}\n\
            - {name: GPU-aa-bb, containerEdits: {env: [GPU=aa]}}\n";
        file(room, "cdi/nvidia.yaml", text);
        let script = "echo $GPU $GPU0 $GPU1";
        for (gpus, said) in [
            ("all", "all\n"),
            ("1", "0\n"),
            ("2", "0 1\n"),
            ("\"device=1,0\"", "0 1\n"),
            ("device=GPU-aa-bb", "aa\n"),
            ("all,capabilities=utility", "all\n"),
        ] {
            with_cdi(room, &["--gpus", gpus], script).succeeds().says(said);
        }
        with_cdi(room, &["--gpus", "3"], script)
            .exits(125)
            .warns("unresolvable CDI devices nvidia.com/gpu=2");
        fs::remove_file(room.work().join("cdi/nvidia.yaml")).unwrap();
        with_cdi(room, &["--gpus", "all"], script)
            .exits(125)
            .warns("nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml");
        with_cdi(room, &["--gpus", "some"], script).exits(125).warns("invalid count (some)");
    }

    fn a_later_folder_wins_and_one_folder_may_not_contradict_itself(room) {
        let device = |value: &str| format!(
            "{{cdiVersion: 0.3.0, kind: v.org/test, devices: [\
             {{name: one, containerEdits: {{env: [ONE={value}]}}}}]}}"
        );
        file(room, "cdi/a.yaml", &device("first"));
        file(room, "cdi/b.yaml", &device("second"));
        with_cdi(room, &ONE, "echo $ONE")
            .exits(125)
            .warns("conflicting device \"v.org/test=one\"");
        file(room, "cdi-later/a.yaml", &device("later"));
        with_cdi(room, &ONE, "echo $ONE").succeeds().says("later\n");
    }

    fn broken_files_break_no_other_and_are_told_of_where_a_device_is_missing(room) {
        one(room, "env: [ONE=1]");
        let cdi = room.work().join("cdi");
        file(room, "cdi/broken.yaml", "cdiVersion: [");
        file(room, "cdi/more.json", r#"{"cdiVersion": "0.3.0", "kind": "a/b", "colour": 1}"#);
        file(room, "cdi/other.yml", "not looked at");
        file(room, "cdi/bomb.yaml", &bomb());
        file(room, "cdi/deep.yaml", &"[".repeat(1 << 20));
        let large = fs::File::create(cdi.join("large.json")).unwrap();
        large.set_len(1 << 40).unwrap();
        nix::unistd::mkfifo(&cdi.join("fifo.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(cdi.join("folder.yaml")).unwrap();
        symlink("/dev/zero", cdi.join("zero.json")).unwrap();
        symlink("loop.json", cdi.join("loop.json")).unwrap();
        room.give(&cdi);
        with_cdi(room, &ONE, "echo $ONE").succeeds().says("1\n");
        with_cdi(room, &["--device", "v.org/test=none"], "true")
            .exits(125)
            .warns("unresolvable CDI devices v.org/test=none")
            .warns("broken.yaml");
        line(room, &ONE, "true").exits(125).warns("unresolvable CDI devices v.org/test=one");
        with_cdi(room, &["--device", "v.org/test="], "true").exits(125).warns("CDI device");
    }

    fn what_a_file_asks_for_is_given_or_refused_by_its_name(room) {
        for (edits, words) in [
            ("deviceNodes: [{path: /dev/none-here}]", "the host has no device node"),
            ("deviceNodes: [{path: /dev/null, type: b}]", "no device node of type b"),
            ("deviceNodes: [{path: /etc/passwd}]", "no device node"),
            ("deviceNodes: [{path: /dev/null, permissions: r}]", "no device cgroup"),
            ("deviceNodes: [{path: dev/null}]", "not an absolute path"),
            ("mounts: [{hostPath: /etc, containerPath: x}]", "not an absolute path"),
            ("mounts: [{hostPath: /none-here, containerPath: /x}]", "does not exist"),
            ("mounts: [{hostPath: /etc, containerPath: /x, options: [sync]}]", "mount option"),
            ("mounts: [{hostPath: /etc, containerPath: /x, type: ext4}]", "mount of type"),
            ("mounts: [{hostPath: /etc, containerPath: /../.}]", "over the root directory"),
            ("env: [novalue]", "invalid environment variable"),
            ("hooks: [{hookName: prestart, path: /bin/true}]", "hook prestart /bin/true"),
            ("hooks: [{hookName: poststop, path: /bin/true}]", "hook poststop"),
            ("hooks: [{hookName: createContainer, path: bin/x}]", "not an absolute path"),
            ("intelRdt: {closID: x}", "intelRdt"),
            ("netDevices: [{hostInterfaceName: eth0, name: x}]", "netDevices"),
        ] {
            one(room, edits);
            with_cdi(room, &ONE, "echo ran").exits(125).warns(words);
        }
    }

    fn a_link_of_the_image_leads_nothing_out(room) {
        let rootfs = room.rootfs();
        let outside = room.path().join("outside");
        fs::create_dir(&outside).unwrap();
        room.give(&outside);
        symlink(&outside, rootfs.join("way")).unwrap();
        room.give(&rootfs);
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        for target in ["/way/node", "/way/../way/node", "/../../way/node"] {
            let mount = format!("{{hostPath: /etc/passwd, containerPath: {target}.txt}}");
            one(room, &format!(
                "deviceNodes: [{{path: {target}, hostPath: /dev/null}}]\nmounts: [{mount}]"
            ));
            with_cdi(room, &ONE, "true");
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{target}");
        }
    }

    fn a_container_that_is_kept_looks_its_devices_up_at_each_start(room) {
        one(room, "env: [ONE=first]");
        with_cdi(room, &[], "true").succeeds();
        let create = ["create", "--name", "kept", "--gpus", "\"device=0,1\"", "--device"];
        let program = ["v.org/test=one", "base", "sh", "-c", "echo $ONE"];
        run(room, &[&create[..], &program].concat()).succeeds();
        let inspect = run(room, &["inspect", "kept"]).succeeds().stdout();
        let json: serde_json::Value = serde_json::from_str(&inspect).unwrap();
        let requests = serde_json::json!([
            {"Driver": "", "Count": 0, "DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]],
             "Options": {}},
            {"Driver": "cdi", "Count": 0, "DeviceIDs": ["v.org/test=one"], "Capabilities": null,
             "Options": null},
        ]);
        assert_eq!(json[0]["HostConfig"]["DeviceRequests"], requests);
        assert_eq!(json[0]["HostConfig"]["Devices"], serde_json::json!([]));
        run(room, &["start", "-a", "kept"]).exits(1).warns("nvidia.com/gpu=0, nvidia.com/gpu=1");
        let gpus = "cdiVersion: 0.3.0\nkind: nvidia.com/gpu\n\
            devices: [{name: '0', containerEdits: {}}, {name: '1'}]\n";
        file(room, "cdi-later/gpus.yaml", gpus);
        run(room, &["start", "-a", "kept"]).succeeds().says("first\n");
        one(room, "env: [ONE=second]");
        run(room, &["start", "-a", "kept"]).succeeds().says("second\n");
        run(room, &["rm", "kept"]).succeeds();
    }

    fn hooks_find_the_root_before_the_program_starts(room) {
        let script = room.work().join("hook");
        let text = "#!/bin/sh\nset -e\nstate=$(cat)\n\
            bundle=${state#*'\"bundle\":\"'}; bundle=${bundle%%'\"'*}\n\
            root=$(sed 's/.*\"path\":\"//; s/\".*//' \"$bundle/config.json\")\n\
            test \"$PWD\" = \"$bundle\"\n\
            echo \"$1 $A\" >\"$root/made\"; test -c \"$root/dev/null\"\n\
            echo \"$state\" >\"$root/state\"; cp /etc/hostname \"$root/hosts-name\"\n";
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        room.give(&script);
        let hook = |rest: &str| {
            let path = script.display();
            one(room, &format!("hooks: [{{hookName: createContainer, path: {path}, {rest}}}]"));
        };
        hook("args: [hook, word], env: ['A=b', 'PATH=/usr/bin:/bin'], timeout: 100");
        let output = with_cdi(room, &ONE, "cat /made /state; ls /hosts-name").succeeds().stdout();
        assert!(output.starts_with("word b\n{") && output.contains("\"pid\":1"), "{output}");
        assert!(output.contains("\"status\":\"creating\"") && output.ends_with("/hosts-name\n"));
        // The program's own root has nothing of the host's at hand.
        let script = format!("[ ! -e {} ]", room.work().display());
        with_cdi(room, &ONE, &script).succeeds();
        one(room, "hooks: [{hookName: createContainer, path: /bin/false}]");
        with_cdi(room, &ONE, "echo ran").exits(125).warns("run the hook").says("");
    }

    fn a_hook_that_takes_too_long_is_killed(room) {
        one(room, "hooks: [{hookName: createContainer, path: /bin/sleep, args: [sleep, '10000'], \
            timeout: 1}]");
        with_cdi(room, &ONE, "echo ran").exits(125).warns("timeout").says("");
    }

    fn a_group_and_an_owner_are_given_where_they_can_be(room) {
        one(room, "additionalGids: [4321, 0]\n\
            deviceNodes: [{path: /dev/mine, hostPath: /dev/null, fileMode: 0o640, uid: 7, gid: 8}]");
        let before = fs::metadata("/dev/null").unwrap();
        let output = with_cdi(room, &ONE, "id -G; stat -c '%a %u %g' /dev/mine").succeeds();
        let said = output.stdout();
        assert!(said.lines().next().unwrap().split(' ').any(|group| group == "4321"), "{said}");
        if nix::unistd::geteuid().is_root() && is_roots(&room.work()) {
            assert!(said.ends_with("640 7 8\n"), "{said}");
        }
        let after = fs::metadata("/dev/null").unwrap();
        assert_eq!((before.mode(), before.uid()), (after.mode(), after.uid()));
    }
}

fn is_roots(path: &Path) -> bool {
    fs::metadata(path).unwrap().uid() == 0
}

/// YAML whose aliases come to more than any memory holds.
fn bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{uses}]\n"));
    }
    format!("{text}cdiVersion: 0.3.0\nkind: v.org/bomb\ndevices: []\n")
}
