//! The instructions from text to change, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::error::Kind;

fn words(texts: &[&str]) -> Vec<Word> {
    texts.iter().copied().map(Word::new).collect()
}

fn change_in(env: &[&str], working_dir: &str, text: &str) -> Result<ConfigChange> {
    let env: Vec<String> = env.iter().map(|&entry| entry.to_owned()).collect();
    parse_change(text)?.resolve(Scope { env: &env, working_dir })
}

fn change(text: &str) -> ConfigChange {
    change_in(&["A=one", "EMPTY=", "B=two words", "A=last", "BARE"], "/w", text).unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn exec(arguments: &[&str]) -> CommandForm {
    CommandForm::Exec(arguments.iter().map(|&argument| argument.to_owned()).collect())
}

fn shell(line: &str) -> CommandForm {
    CommandForm::Shell(line.to_owned())
}

fn error(text: &str) -> Error {
    change_in(&[], "", text).unwrap_err()
}

#[test]
fn tells_exec_form_from_shell_form() {
    for (text, form) in [
        (r#"CMD ["a", "b c"]"#, exec(&["a", "b c"])),
        (r#"cmd   ["\u0041"]  "#, exec(&["A"])),
        ("CMD []", exec(&[])),
        ("CMD ['a', 'b']", shell("['a', 'b']")),
        (r#"CMD ["a",]"#, shell(r#"["a",]"#)),
        (r#"CMD ["a"] && b"#, shell(r#"["a"] && b"#)),
        ("CMD echo  $A \\\"x", shell("echo  $A \\\"x")),
        ("CMD a \\\n  b \\\n# comment\n\n c", shell("a   b  c")),
    ] {
        assert_eq!(change(text), ConfigChange::Cmd(form), "{text}");
    }
    assert_eq!(change("ENTRYPOINT []"), ConfigChange::Entrypoint(exec(&[])));
    assert_eq!(change("ENTRYPOINT top -b"), ConfigChange::Entrypoint(shell("top -b")));
    assert_eq!(error("CMD --version").chain(), "invalid CMD instruction: unknown flag --version");
    assert_eq!(error("CMD [1]").chain(), "invalid CMD instruction: 1 in [1] is not a string");
}

#[test]
fn reads_pairs_new_and_old() {
    for (arguments, expected) in [
        ("k=v k2=\"v 2\"", pairs(&[("k", "v"), ("k2", "v 2")])),
        ("k=a\\ b 'k 2'='$A'", pairs(&[("k", "a b"), ("k 2", "$A")])),
        ("k= l=\"\"", pairs(&[("k", ""), ("l", "")])),
        ("k=a=b", pairs(&[("k", "a=b")])),
        ("k=x\\", pairs(&[("k", "x")])),
        ("k v  \"w\" $A", pairs(&[("k", "v  w last")])),
        ("A=new B=$A", pairs(&[("A", "new"), ("B", "last")])),
        ("$A=x", pairs(&[("last", "x")])),
        ("k=\"a\\\"b\\c\\$A\"", pairs(&[("k", "a\"b\\c$A")])),
    ] {
        assert_eq!(change(&format!("ENV {arguments}")), ConfigChange::Env(expected.clone()));
        assert_eq!(change(&format!("LABEL {arguments}")), ConfigChange::Label(expected));
    }
    for text in ["ENV", "ENV k", "ENV k=v l", "ENV =v", "ENV $NONE=v", "LABEL k='v", "ENV --x=y"] {
        assert_eq!(error(text).kind(), Kind::Invalid, "{text}");
    }
}

#[test]
fn expands_as_docker_does() {
    for (word, expected) in [
        ("$A", "last"),
        ("${A}x", "lastx"),
        ("$Ax", ""),
        ("$NONE", ""),
        ("$", "$"),
        ("a$/b", "a$/b"),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ("\"$A\"", "last"),
        ("${NONE:-x}${NONE-y}${EMPTY:-z}${EMPTY-w}", "xyz"),
        ("${A:+x}${A+y}${EMPTY:+z}${EMPTY+w}${NONE+v}", "xyw"),
        ("${NONE:-${A}}", "last"),
        ("${NONE:-\"}\"}", "}"),
        ("${A:?gone}", "last"),
        ("${BARE-unset}", ""),
        ("$1x$$", "x"),
        ("é${B}", "étwo words"),
    ] {
        assert_eq!(change(&format!("USER u{word}")), ConfigChange::User(format!("u{expected}")));
    }
    for word in ["${", "${}", "${A", "${A:-", "${:x}", "${A:}", "${A!x}", "'a", "\"a", "${N:?}"] {
        assert_eq!(error(&format!("USER u{word}")).kind(), Kind::Invalid, "{word}");
    }
    assert_eq!(error("USER ${N:?set N}").chain(), "cannot expand ${N:?set N}: variable N: set N");
    assert_eq!(error("USER ${A%x}").kind(), Kind::Unsupported);
    let deep = format!("USER {}{}", "${x:-".repeat(100_000), "}".repeat(100_000));
    assert_eq!(error(&deep).kind(), Kind::Invalid);
}

#[test]
fn exposes_ports() {
    let ports = |texts: &[&str]| {
        ConfigChange::Expose(texts.iter().map(|text| PortRange::parse(text).unwrap()).collect())
    };
    assert_eq!(change("EXPOSE 80 53/udp 8000-8010"), ports(&["80", "53/udp", "8000-8010"]));
    let some = change_in(&["P=1 2/sctp"], "", "EXPOSE $P ${Q:-3}").unwrap();
    assert_eq!(some, ports(&["1", "2/sctp", "3"]));
    assert_eq!(
        error("EXPOSE 80:80").chain(),
        "invalid EXPOSE instruction: port 80:80 names a port of the host"
    );
}

#[test]
fn reads_health_checks() {
    let probe = |command| HealthProbe {
        command,
        interval: 0,
        timeout: 0,
        start_period: 0,
        start_interval: 0,
        retries: 0,
    };
    let full = HealthProbe {
        interval: 30_000_000_000,
        timeout: 1_500_000,
        start_period: 60_000_000_000,
        start_interval: 5_000_000_000,
        retries: 3,
        ..probe(exec(&["true"]))
    };
    let text = "HEALTHCHECK --interval=30s --timeout='1.5ms' --start-period 1m \
                --start-interval=5s --retries=3 cmd [\"true\"]";
    let check = |probe| ConfigChange::Healthcheck(Healthcheck::Probe(probe));
    assert_eq!(change(text), check(full));
    let line = "curl -f $A || exit 1";
    assert_eq!(change(&format!("HEALTHCHECK CMD {line}")), check(probe(shell(line))));
    assert_eq!(change("HEALTHCHECK none"), ConfigChange::Healthcheck(Healthcheck::None));
    for arguments in [
        "",
        "NONE x",
        "--retries=1 NONE",
        "CMD",
        "CMD []",
        "true",
        "--interval=1us CMD x",
        "--interval=-1s CMD x",
        "--interval",
        "--retries=-1 CMD x",
        "--retries=1 --retries=2 CMD x",
        "--colour=red CMD x",
    ] {
        assert_eq!(error(&format!("HEALTHCHECK {arguments}")).kind(), Kind::Invalid, "{arguments}");
    }
}

#[test]
fn reads_volumes() {
    let volumes =
        |paths: &[&str]| ConfigChange::Volume(paths.iter().map(|&path| path.to_owned()).collect());
    assert_eq!(change("VOLUME /a /b/$A"), volumes(&["/a", "/b/last"]));
    assert_eq!(change(r#"VOLUME ["/a b", "/c"]"#), volumes(&["/a b", "/c"]));
    for text in
        ["VOLUME", "VOLUME []", "VOLUME [\"\"]", "VOLUME data", "VOLUME [\"/a\"", "VOLUME $N"]
    {
        assert_eq!(error(text).kind(), Kind::Invalid, "{text}");
    }
}

#[test]
fn joins_working_directories() {
    for (base, path, joined) in [
        ("/w", "x", "/w/x"),
        ("/w", "/x", "/x"),
        ("", "x", "/x"),
        ("/w", "../../..", "/"),
        ("/w", "./a//b/../c/", "/w/a/c"),
        ("/w", "a b", "/w/a b"),
        ("/w", "'a b'/$A", "/w/a b/v"),
    ] {
        let change = change_in(&["A=v"], base, &format!("WORKDIR {path}")).unwrap();
        assert_eq!(change, ConfigChange::Workdir(joined.into()), "{base} {path}");
    }
    assert_eq!(error("WORKDIR $NONE").chain(), "WORKDIR $NONE is empty");
}

#[test]
fn checks_stop_signals_and_users() {
    let signal = StopSignal { text: "SIGQUIT".into(), number: 3 };
    assert_eq!(change("STOPSIGNAL SIGQUIT"), ConfigChange::StopSignal(signal.clone()));
    let expanded = change_in(&["S=SIGQUIT"], "", "stopsignal ${S}").unwrap();
    assert_eq!(expanded, ConfigChange::StopSignal(signal));
    assert_eq!(error("STOPSIGNAL SIGNOPE").kind(), Kind::Invalid);
    assert_eq!(change("USER build:users"), ConfigChange::User("build:users".into()));
    assert_eq!(error("USER $NONE").kind(), Kind::Invalid);
}

#[test]
fn keeps_triggers_as_text() {
    for trigger in ["RUN make $X", "COPY --from=a . /src", "ENV a=$b", "cmd [\"x\"]"] {
        assert_eq!(
            change(&format!("ONBUILD  {trigger}")),
            ConfigChange::OnBuild(trigger.to_owned())
        );
    }
    for trigger in ["", "ONBUILD RUN x", "FROM x", "MAINTAINER x", "RUNN x", "RUN", "ENV a"] {
        assert_eq!(error(&format!("ONBUILD {trigger}")).kind(), Kind::Invalid, "{trigger}");
    }
    assert!(error("ONBUILD CPOY . .").hint_text().unwrap().starts_with("write COPY;"));
}

#[test]
fn names_the_instruction_that_was_meant() {
    let allowed = "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, \
                   VOLUME, WORKDIR";
    for (typed, meant) in [("CDM", "CMD"), ("entrypiont", "ENTRYPOINT"), ("WORKDIRS", "WORKDIR")] {
        let error = error(&format!("{typed} x"));
        assert_eq!(error.to_string(), format!("unknown instruction {typed:?}"));
        assert_eq!(error.hint_text().unwrap(), format!("write {meant}; allowed are {allowed}"));
    }
    let hint = format!("use one of {allowed}");
    for typed in ["X", "FOOBARBAZ", &"é".repeat(10_000)] {
        assert_eq!(error(typed).hint_text(), Some(hint.as_str()));
    }
    let run = error("RUN x");
    assert_eq!(run.to_string(), "RUN is not allowed in a change");
    assert_eq!(run.hint_text(), Some(hint.as_str()));
}

#[test]
fn takes_one_instruction_at_a_time() {
    assert_eq!(error("").to_string(), "change has 0 instructions, not one");
    assert_eq!(error("# CMD x").to_string(), "change has 0 instructions, not one");
    assert_eq!(error("USER a\nUSER b").to_string(), "change has 2 instructions, not one");
    assert_eq!(change("USER a\\\n"), ConfigChange::User("a".into()));
    assert_eq!(change("\n  USER a \n"), ConfigChange::User("a".into()));
}

#[test]
fn keeps_words_until_they_are_expanded() {
    let parsed = parse_change("EXPOSE $A \"80\"").unwrap();
    assert_eq!(parsed, Instruction::Expose(words(&["$A", "\"80\""])));
}

proptest! {
    #[test]
    fn takes_any_text(text in "(?s).{0,80}") {
        if let Ok(instruction) = parse_change(&text) {
            drop(instruction.resolve(Scope::default()));
        }
    }

    #[test]
    fn takes_any_arguments(
        keyword in prop::sample::select(vec!["CMD", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL",
            "ONBUILD ENV", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"]),
        arguments in "[ -~]{0,40}|[-$\\\\{}:+=\"' \\[\\]a]{0,40}",
    ) {
        if let Ok(instruction) = parse_change(&format!("{keyword} {arguments}")) {
            let env = ["a=1".to_owned()];
            drop(instruction.resolve(Scope { env: &env, working_dir: "/w" }));
        }
    }
}
