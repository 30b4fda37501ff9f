//! Fetching from a server on loopback, which plays one script a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::error::{Error, Kind, Result};

/// A server that hands each connection's head to `answer`.
struct Server {
    address: String,
    /// The heads of the requests, as they came.
    requests: Receiver<String>,
}

impl Server {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, requests) = channel();
        // Lives as long as the test's process: it waits for connections.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = head(&stream);
                answer(&head, &mut stream);
                if tell.send(head).is_err() {
                    return;
                }
            }
        });
        Self { address, requests }
    }

    fn saying(text: &'static str) -> Self {
        Self::start(move |_, stream| stream.write_all(text.as_bytes()).unwrap())
    }

    fn url(&self, path: &str) -> Url {
        format!("http://{}/{path}", self.address).parse().unwrap()
    }
}

fn head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(std::io::Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

fn network() -> Network {
    let patience = Patience { connect: Duration::from_secs(20), silence: Duration::from_secs(1) };
    Network { patience, ..Network::default() }
}

/// The last lines of a head without a body.
const EMPTY: &str = "Connection: close\r\nContent-Length: 0\r\n\r\n";

/// Everything at `url`.
fn body(url: &Url) -> Result<Vec<u8>> {
    let mut fetched = fetch(url, &network())?;
    let mut bytes = Vec::new();
    fetched.reader.read_to_end(&mut bytes).map_err(|e| Error::io_named("read", e))?;
    if let Some(length) = fetched.length {
        assert_eq!(length, bytes.len() as u64);
    }
    Ok(bytes)
}

#[track_caller]
fn fails(url: &Url, kind: Kind, words: &str) {
    let error = body(url).unwrap_err();
    let chain = error.chain();
    assert_eq!(error.kind(), kind, "{chain}");
    assert!(chain.contains(words), "{chain}");
    assert!(error.hint_text().is_some(), "no hint: {chain}");
}

#[test]
fn a_body_of_known_length_and_one_in_chunks_come_whole() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(fetch(&server.url("a"), &network()).unwrap().length, Some(5));
    assert_eq!(body(&server.url("a")).unwrap(), b"hello");
    let server = Server::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    assert_eq!(body(&server.url("a")).unwrap(), b"hello");
}

#[test]
fn a_body_that_stops_early_is_an_error() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    fails(
        &server.url("a"),
        Kind::Unavailable,
        "the connection to 127.0.0.1 was cut after 5 of 50 bytes",
    );
    let server =
        Server::saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    fails(&server.url("a"), Kind::Unavailable, "cut after 5 bytes");
}

/// Says no more, until the client has gone.
fn until_closed(stream: &mut TcpStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for_without_end() {
    let mute = Server::start(|_, stream| until_closed(stream));
    fails(&mute.url("a"), Kind::Unavailable, "does not answer within 1s");
    let stalled = Server::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello").unwrap();
        until_closed(stream);
    });
    fails(&stalled.url("a"), Kind::Unavailable, "sent nothing for 1s, after 5 bytes");
}

#[test]
fn a_slow_server_is_waited_for() {
    let server = Server::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n").unwrap();
        for byte in b"patience" {
            std::thread::sleep(Duration::from_millis(200));
            stream.write_all(&[*byte]).unwrap();
        }
    });
    // Longer than the patience in all, never longer between two bytes.
    assert_eq!(body(&server.url("a")).unwrap(), b"patience");
}

#[test]
fn what_the_server_says_is_told() {
    let server = Server::start(|head, stream| {
        let status = head.split(['/', ' ']).nth(2).unwrap();
        write!(stream, "HTTP/1.1 {status} Whatever\r\n{EMPTY}").unwrap();
    });
    fails(&server.url("404"), Kind::NotFound, "404 Not Found");
    fails(&server.url("401"), Kind::Denied, "401 Unauthorized");
    fails(&server.url("503"), Kind::Unavailable, "503 Service Unavailable");
    fails(&server.url("418"), Kind::Invalid, "418 I'm a teapot");
    fails(&server.url("302"), Kind::Invalid, "missing a location header");
    let secret = server.url("404").to_string().replace("http://", "http://u:geheim@");
    let error = body(&secret.parse().unwrap()).unwrap_err();
    assert!(!error.chain().contains("geheim"), "{}", error.chain());
}

#[test]
fn redirects_are_followed_and_a_loop_is_not() {
    let server = Server::start(|head, stream| {
        let answer = match head.split(' ').nth(1) {
            Some("/from") => format!("302 Found\r\nLocation: /to\r\n{EMPTY}"),
            Some("/to") => "200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            _ => format!("301 Moved\r\nLocation: /loop\r\n{EMPTY}"),
        };
        write!(stream, "HTTP/1.1 {answer}").unwrap();
    });
    assert_eq!(body(&server.url("from")).unwrap(), b"ok");
    fails(&server.url("loop"), Kind::Invalid, "/loop redirects more than 10 times");
}

#[test]
fn the_place_that_a_redirect_led_to_is_the_one_that_is_named() {
    let server = Server::start(|head, stream| {
        let answer = match head.split(' ').nth(1) {
            Some("/from") => "302 Found\r\nLocation: /gone?token=x",
            _ => "404 No",
        };
        write!(stream, "HTTP/1.1 {answer}\r\n{EMPTY}").unwrap();
    });
    fails(&server.url("from"), Kind::NotFound, "/gone?... is not there");
}

#[test]
fn user_and_password_go_to_the_server_and_not_along_a_redirect() {
    let elsewhere = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let target = elsewhere.url("x").to_string();
    let server = Server::start(move |_, stream| {
        write!(stream, "HTTP/1.1 302 Found\r\nLocation: {target}\r\n{EMPTY}").unwrap();
    });
    let url = server.url("a").to_string().replace("http://", "http://u:p@");
    assert_eq!(body(&url.parse().unwrap()).unwrap(), b"ok");
    let (first, second) = (server.requests.recv().unwrap(), elsewhere.requests.recv().unwrap());
    assert!(first.to_lowercase().contains("authorization: basic dtpw"), "{first}");
    assert!(!second.to_lowercase().contains("authorization"), "{second}");
}

#[test]
fn https_does_not_become_http() {
    let url: Url = "https://h/a".parse().unwrap();
    let plain: Url = "http://h/a".parse().unwrap();
    assert!(fetch::settings(&url, &network()).unwrap().https_only());
    assert!(!fetch::settings(&plain, &network()).unwrap().https_only());
    let refused = ureq::Error::RequireHttpsOnly("http://u:geheim@h/".into());
    let error = fetch::explain(&url, Patience::default(), refused);
    assert_eq!(error.kind(), Kind::Denied);
    assert!(!error.chain().contains("geheim"));
}

#[test]
fn a_server_without_tls_is_not_trusted() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let url = server.url("a").to_string().replace("http:", "https:");
    fails(&url.parse().unwrap(), Kind::Denied, "no trusted connection to https://");
}

#[test]
fn what_is_not_there_is_told() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/a");
    fails(&url.parse().unwrap(), Kind::Unavailable, "Connection refused");
    let garbage = Server::saying("220 mail.example ESMTP\r\n");
    fails(&garbage.url("a"), Kind::Invalid, "cannot fetch http://");
}

#[test]
fn a_proxy_is_asked_for_the_way() {
    let proxy = Server::saying("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    let address = format!("http://{}", proxy.address);
    let find = |name: &str| (name == "http_proxy").then_some(address.as_str());
    let network = Network { proxies: Proxies::from_variables(find), ..network() };
    let error = fetch(&"http://far.example/a".parse().unwrap(), &network).err().unwrap();
    assert!(error.chain().contains("the proxy does not lead to"), "{}", error.chain());
    assert!(proxy.requests.recv().unwrap().starts_with("CONNECT far.example:80"));
}
