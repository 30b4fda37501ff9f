//! An archive behind a URL, from a server of the test's own on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use super::{fails, identity_of, import, named, tar, text, tree};
use crate::harness::{Room, for_everyone};

/// Serves `body` at `/whole`, half of it at `/cut`, to one user at `/private`, a
/// redirect at `/moved`, one without end at `/loop`, and nothing else; the
/// address.
fn serve(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Lives as long as the test's process: it waits for connections.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client may go whenever it wants.
            let _ = stream.and_then(|stream| answer(stream, &body));
        }
    });
    format!("127.0.0.1:{}", address.port())
}

fn answer(mut stream: TcpStream, body: &[u8]) -> std::io::Result<()> {
    let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
    let request = head.next().unwrap_or_default();
    let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
    // u:geheim, in base64.
    let is_allowed = head.iter().any(|line| line.ends_with("dTpnZWhlaW0="));
    let half = &body[..body.len() / 2];
    let (status, sent) = match request.split(' ').nth(1).unwrap_or_default() {
        "/whole" => ("200 OK", body),
        "/cut" => ("200 OK", half),
        "/private" if is_allowed => ("200 OK", body),
        "/private" => ("401 Unauthorized", &body[..0]),
        "/moved" => ("302 Found\r\nLocation: /whole", &body[..0]),
        "/loop" => ("302 Found\r\nLocation: /loop", &body[..0]),
        _ => ("404 Not Found", &body[..0]),
    };
    let length = if sent.is_empty() { 0 } else { body.len() };
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")?;
    stream.write_all(sent)
}

/// A server of a tar of the room's tree; the URL of `path` on it.
fn server(room: &Room, program: Option<&str>) -> impl Fn(&str) -> String + use<> {
    let archive = room.work().join("archive.tar");
    if !archive.exists() {
        tar(room, &tree(room), &["."]);
    }
    let body = match program {
        None => fs::read(archive).unwrap(),
        Some(program) => Command::new(program).arg("-c").arg(&archive).output().unwrap().stdout,
    };
    let address = serve(body);
    move |path| format!("http://{address}/{path}")
}

for_everyone! {
    fn a_url_is_as_good_as_a_file(room) {
        let url = server(room, None);
        let archive = room.work().join("archive.tar");
        let id = import(room, &[text(&archive)]);
        assert_eq!(import(room, &[&url("whole"), "web"]), id);
        assert_eq!(import(room, &[&url("moved")]), id);
        assert_eq!(named(room, "web", "latest"), id);
    }

    fn a_compressed_archive_is_told_by_its_bytes(room) {
        let url = server(room, Some("xz"));
        let archive = room.work().join("archive.tar");
        assert_eq!(import(room, &[&url("whole")]), import(room, &[text(&archive)]));
    }

    fn a_body_that_is_cut_off_makes_no_image(room) {
        let url = server(room, None);
        let cut = "the connection to 127.0.0.1 was cut after";
        fails(room, &[&url("cut"), "x"]).warns(cut).warns("hint: ");
        let url = server(room, Some("gzip"));
        fails(room, &[&url("cut"), "x"]).warns(cut).warns("hint: ");
    }

    fn what_is_not_served_is_told_with_its_address(room) {
        let url = server(room, None);
        let missing = url("nothing?token=geheim");
        let output = fails(room, &[&missing, "x"]);
        let shown = missing.split('?').next().unwrap();
        let expected = format!("{shown}?... is not there: 404 Not Found");
        let output = output.warns(&expected).warns("hint: ");
        assert!(!output.stderr().contains("geheim"), "{output}");
        fails(room, &[&url("loop"), "x"]).warns("redirects more than 10 times").warns("hint: ");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fails(room, &[&format!("http://{nobody}/a"), "x"]).warns("Connection refused");
    }

    fn user_and_password_are_used_and_not_printed(room) {
        let url = server(room, None);
        let archive = room.work().join("archive.tar");
        let private = url("private").replace("http://", "http://u:geheim@");
        assert_eq!(import(room, &[&private]), import(room, &[text(&archive)]));
        let room_only = url("private").replace("http://", "http://u:falsch@");
        let output = room.envbox(&["import", &room_only]).exits(1);
        let output = output.warns("the server refuses http://***@").warns("401").warns("hint: ");
        assert!(!output.stderr().contains("falsch"), "{output}");
    }

    fn the_proxies_of_the_environment_are_used(room) {
        let url = server(room, None);
        let with = |variables: &[(&str, &str)]| {
            let mut command = room.command(&["import", &url("whole")]);
            command.envs(variables.iter().copied());
            room.run(command)
        };
        // The server is no proxy: it does not know of tunnels.
        let proxy = url("");
        with(&[("http_proxy", &proxy)]).exits(1).warns("the proxy does not lead to");
        identity_of(&with(&[("http_proxy", &proxy), ("no_proxy", "127.0.0.1")]).succeeds());
        identity_of(&with(&[("https_proxy", &proxy)]).succeeds());
        with(&[("all_proxy", "::")]).exits(1).warns("all_proxy does not name a proxy");
    }
}
