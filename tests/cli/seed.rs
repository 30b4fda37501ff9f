//! The notes on containers and data with which envbox began, line by line as
//! their author typed them, `docker` replaced by `envbox`. What they say of
//! networks, registries and Dockerfiles is not here.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::process::eventually;
use crate::harness::{Output, Room, for_everyone};

/// Runs `script` by the caller's shell in the work folder; it ends at the
/// first line that fails.
fn script(room: &Room, script: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_envbox")).parent().unwrap();
    let mut shell = room.program("bash");
    let path = format!("PATH={}:$PATH", binary.display());
    shell.args(["-e", "-o", "pipefail", "-c", &format!("{path}\n{script}")]);
    room.run(shell)
}

/// A root filesystem in `centos6`, with what the notes remove and leave out,
/// and the folders of a build.
fn centos6(room: &Room) {
    let rootfs = room.work().join("centos6");
    std::fs::rename(room.rootfs(), &rootfs).unwrap();
    // busybox has none.
    let bash = rootfs.join("bin/bash");
    std::fs::write(&bash, "#!/bin/sh\nexec /bin/sh \"$@\"\n").unwrap();
    std::fs::set_permissions(&bash, PermissionsExt::from_mode(0o755)).unwrap();
    for folder in ["var/cache", "var/run", "var/log", "boot", "rain/tmp"] {
        std::fs::create_dir_all(rootfs.join(folder)).unwrap();
    }
    std::fs::rename(rootfs.join("rain"), room.work().join("rain")).unwrap();
    for file in ["tmp/x", "var/cache/x", "var/run/x", "root/x", "root/.x", "var/log/x", "vmlinuz"] {
        std::fs::write(rootfs.join(file), "").unwrap();
    }
    std::fs::write(rootfs.join("boot/x"), "").unwrap();
    std::fs::write(room.work().join("rain/hello.txt"), "hello\n").unwrap();
    room.give(&room.work());
}

/// Images of the names that the notes use.
fn images(room: &Room) {
    centos6(room);
    let script_text = "tar -C centos6 --numeric-owner -cf - . \
            | envbox import -c 'CMD [\"sleep\", \"1000\"]' - ubuntu
        for name in ubuntu:14.04 nginx training/postgres busybox redis mongo:3.2 alpine; do
            envbox tag ubuntu $name
        done";
    script(room, script_text).succeeds();
}

for_everyone! {
    fn a_directory_becomes_an_image_and_is_built_in(room) {
        centos6(room);
        let make = "cd centos6
            rm -rf tmp/* var/cache/* var/run/* root/* root/.[^b]*
            tar --numeric-owner --exclude={vmlinuz,initrd.img} \
                --exclude=var/{backups,cache,local,lock,log,mail,opt,run,spool,tmp}/* \
                -cvf ../ubuntu1404.tar *
            tar --delete -f ../ubuntu1404.tar root/
            tar -f ../ubuntu1404.tar --delete boot/
            tar --numeric-owner --exclude=/proc --exclude=/sys -cvf centos6-base.tar *
            cat centos6-base.tar | envbox import - vmibuild";
        script(room, make).succeeds().says("sha256:");
        script(room, "envbox image ls").succeeds().says("vmibuild");
        script(room, "cat ubuntu1404.tar | envbox import - ubuntu1404 && \
            envbox run --rm ubuntu1404 ls -d /root /boot /var/log/x").exits(1).warns("/root");
        // `docker run -it --rm -v /home/build/rain/:/builddir ...`
        let rain = format!("{}/", room.work().join("rain").display());
        let (build, tmp) = (format!("{rain}:/builddir"), format!("{rain}tmp/:/var/tmp"));
        let mut terminal = room.terminal(&["run", "-it", "--rm", "-v", &build, "-v", &tmp,
            "vmibuild", "/bin/bash"]);
        terminal.line("cat /builddir/hello.txt; touch /var/tmp/made; exit 7");
        terminal.expect("hello\r\n");
        assert_eq!(terminal.wait(), 7);
        assert!(room.work().join("rain/tmp/made").exists());
        let gone = "envbox ps -a -q | wc -l";
        script(room, gone).succeeds().says("0\n");
    }

    fn what_goes_wrong_is_found_and_cleared_away(room) {
        images(room);
        let watch = "envbox events >events.txt &
            events=$!
            trap 'kill $events' EXIT
            until envbox run --rm ubuntu true && grep -q start events.txt; do :; done
            envbox run --name broken ubuntu /no/such/program || true
            until grep -q broken events.txt; do :; done
            envbox ps -a --filter name=broken --format '{{.Status}}'";
        script(room, watch).succeeds().says("Created\n");
        script(room, "envbox rm $(envbox ps -a -q --filter name=broken)").succeeds();
        script(room, "envbox tag ubuntu vmibuild && envbox rmi vmibuild").succeeds();
        script(room, "envbox images -q vmibuild | wc -l").says("0\n");
    }

    fn a_container_lives_as_the_notes_say(room) {
        images(room);
        script(room, "envbox run --name webserver -d nginx").succeeds();
        let mut terminal = room.terminal(&["exec", "-it", "webserver", "bash"]);
        terminal.line("echo changed >/index.html; exit");
        assert_eq!(terminal.wait(), 0);
        script(room, "envbox diff webserver").succeeds().says("A /index.html\n");
        let commit = "envbox commit --author \"Tao Wang \" --message \"修改了默认网页\" webserver nginx:v2
            envbox run --rm nginx:v2 cat /index.html";
        script(room, commit).succeeds().says("changed\n");
        script(room, "envbox history nginx:v2").succeeds().says("修改了默认网页\n");
        script(room, "envbox ps").succeeds().says("webserver");
        script(room, "envbox stop -t 0 webserver && envbox ps -q").succeeds();
        script(room, "envbox ps -a").says("Exited");
        script(room, "envbox start webserver && envbox restart -t 0 webserver").succeeds();
        script(room, "envbox run -d --name talker ubuntu sh -c 'echo said; sleep 1000'").succeeds();
        eventually("its output", || {
            script(room, "envbox logs $(envbox ps -q -f name=talker)").stdout() == "said\n"
        });
        let export = "envbox export $(envbox ps -q -f name=webserver) > ubuntu.tar
            cat ubuntu.tar | envbox import - example/imagerepo
            envbox run --rm example/imagerepo cat /index.html";
        script(room, export).succeeds().says("changed\n");
        script(room, "envbox rm webserver").exits(1).warns("running");
        script(room, "envbox stop -t 0 webserver talker && envbox rm $(envbox ps -a -q)").succeeds();
        script(room, "envbox ps -a -q | wc -l").says("0\n");
    }

    fn images_are_saved_and_removed(room) {
        images(room);
        script(room, "envbox images").succeeds().says("training/postgres");
        let save = "id=$(envbox images -q --no-trunc alpine)
            envbox save alpine | gzip > alpine-latest.tar.gz
            envbox rmi -f alpine
            envbox load -i alpine-latest.tar.gz
            test $id = $(envbox images -q --no-trunc alpine)
            envbox save ubuntu | bzip2 | cat | sh -c 'cat | envbox --root elsewhere load'
            envbox --root elsewhere images";
        let output = script(room, save).succeeds();
        output.says("Loaded image: alpine:latest\n").says("Loaded image: ubuntu:latest\n");
        let used = "envbox create --name user ubuntu true
            tar -C centos6 -cf - etc | envbox import - other
            envbox create --name other other true
            envbox rmi other";
        script(room, used).exits(1).warns("uses it");
        let dangling = "tar -C centos6 -cf - bin | envbox import - other
            envbox rm other
            test -n \"$(envbox images -q -f dangling=true)\"
            envbox rmi $(envbox images -q -f dangling=true)
            test -z \"$(envbox images -q -f dangling=true)\"";
        script(room, dangling).succeeds();
        let before = "SOURCE_DATE_EPOCH=1 envbox import centos6 mongo:3.0
            SOURCE_DATE_EPOCH=2 envbox import centos6 mongo:3.2
            envbox rmi $(envbox images -q -f before=mongo:3.2)
            envbox images -q mongo:3.0 | wc -l";
        script(room, before).succeeds().says("0\n");
        script(room, "envbox rm user && envbox rmi -f $(envbox images -q redis)").succeeds();
        script(room, "envbox images -q redis | wc -l").says("0\n");
    }

    fn a_volume_is_given_seen_and_removed(room) {
        images(room);
        let bound = "envbox run --rm -v $(pwd)/rain:/data:ro ubuntu cat /data/hello.txt
            envbox run --rm -v $(pwd)/rain:/data:ro ubuntu touch /data/x";
        script(room, bound).exits(1).says("hello\n").warns("Read-only");
        script(room, "envbox run --name kept -v /own ubuntu touch /own/x").succeeds();
        let inspect = "envbox inspect kept; \
            envbox inspect -f '{{range .Mounts}}{{.Type}}:{{.Destination}} {{end}}' kept";
        script(room, inspect).succeeds().says("volume:/own \n");
        script(room, "envbox rm -v kept && envbox volume ls -q | wc -l").succeeds().says("0\n");
    }

    fn data_containers_share_back_up_restore_and_move(room) {
        images(room);
        let share = "envbox run -d -v /dbdata --name dbdata training/postgres
            envbox run -d --volumes-from dbdata --name db1 training/postgres \
                sh -c 'echo Data-only container for postgres >/dbdata/said; sleep 1000'
            envbox run -d --volumes-from dbdata --name db2 training/postgres
            envbox run -d --name db3 --volumes-from db1 training/postgres
            until envbox exec db3 cat /dbdata/said; do :; done
            envbox exec db2 sh -c 'echo two >/dbdata/two'
            envbox exec dbdata cat /dbdata/two";
        script(room, share).succeeds().says("Data-only container for postgres\ntwo\n");
        let backup = "envbox run --volumes-from dbdata -v $(pwd):/backup ubuntu \
                tar cvf /backup/backup.tar /dbdata
            test -s backup.tar";
        script(room, backup).succeeds().says("dbdata/said\n");
        let restore = "envbox run -v /dbdata --name dbdata2 ubuntu /bin/bash
            envbox run --volumes-from dbdata2 -v $(pwd):/backup busybox tar xvf /backup/backup.tar
            envbox run --rm --volumes-from dbdata2 busybox cat /dbdata/said /dbdata/two";
        script(room, restore).succeeds().says("Data-only container for postgres\ntwo\n");
        let clear = "envbox stop -t 0 $(envbox ps -q)
            envbox rm -v $(envbox ps -a -q)
            envbox volume ls -q | wc -l";
        script(room, clear).succeeds().says("0\n");
    }

    fn a_data_container_need_never_run(room) {
        images(room);
        let lines = "envbox create -v /dbdata --name dbstore ubuntu
            envbox run --rm --volumes-from dbstore ubuntu sh -c 'echo kept >/dbdata/file'
            envbox run --rm --volumes-from dbstore -v $(pwd):/backup ubuntu \
                tar cvf /backup/backup.tar /dbdata
            envbox create -v /dbdata --name dbstore2 ubuntu
            envbox run --rm --volumes-from dbstore2 -v $(pwd):/backup ubuntu \
                sh -c 'cd /dbdata && tar xvf /backup/backup.tar --strip 1'
            envbox rm -v dbstore
            envbox run --rm --volumes-from dbstore2 ubuntu cat /dbdata/file
            envbox rm -v dbstore2
            envbox volume ls -q | wc -l";
        let output = script(room, lines).succeeds();
        assert!(output.stdout().ends_with("kept\ndbstore2\n0\n"), "{output}");
    }
}
