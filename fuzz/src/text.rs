//! What users write, and what the programs and account files of an image say.
//! Input that is no UTF-8 is passed over where envbox gets text.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use envbox::cli::template::{Columns, Format, InspectFormat};
use envbox::compat::elf;
use envbox::dockerfile::{self, Scope};
use envbox::engine::options::{
    annotation, cdi, device, dns, environment, extra_host, gpus, health, hostname, log, mount,
    namespace, network, resources, restart, security, signal, size, sysctl, ulimit, user,
};
use envbox::engine::{Label, NamePattern, VolumesFrom};
use envbox::image::ExcludeSet;
use envbox::reference::ImageRef;
use serde_json::json;

fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// What is parsed prints what parses to the same.
fn prints<T: Debug + Display + PartialEq, E: Debug>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) {
    let Ok(value) = parse(text) else { return };
    let printed = value.to_string();
    match parse(&printed) {
        Ok(again) => assert_eq!(again, value, "{printed:?}"),
        Err(error) => panic!("{text:?} prints {printed:?}: {error:?}"),
    }
}

/// Image references, digests and platforms.
pub fn reference(input: &[u8]) {
    let Some(text) = text(input) else { return };
    prints(text, ImageRef::from_str);
    prints(text, envbox::digest::Digest::from_str);
    prints(text, envbox::platform::Platform::from_str);
    if let Ok(name) = text.parse::<ImageRef>() {
        prints(&name.full_repository(), ImageRef::from_str);
        prints(&name.familiar_repository(), ImageRef::from_str);
    }
    let _ = text.parse::<NamePattern>();
}

/// The instructions of `--change`, variables included.
pub fn change(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let Ok(instruction) = dockerfile::parse_change(text) else { return };
    let env = ["A=b".to_owned(), "PATH=/bin:/usr/bin".to_owned(), "E=".to_owned()];
    let _ = instruction.resolve(Scope { env: &env, working_dir: "/w" });
}

/// Go templates, over one object.
pub fn template(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let value = json!({
        "ID": "sha256:0123456789ab", "Names": ["a", "b"], "Size": 17, "Ratio": -0.5,
        "Labels": {"a": "b", "c": ""}, "Empty": null, "Is": true,
        "Config": {"Env": ["A=b"], "Deep": [[1, 2], []]},
    });
    let columns = Columns { fields: &["ID", "Names"], headers: &[("ID", "IMAGE ID")] };
    if let Ok(format) = Format::parse(text) {
        let _ = format.render(&[value.clone(), value.clone()], columns);
    }
    if let Ok(format) = InspectFormat::parse(text) {
        let _ = format.render(&[value]);
    }
}

/// The values of docker's flags.
pub fn options(input: &[u8]) {
    let Some(text) = text(input) else { return };
    prints(text, mount::parse_any);
    prints(text, mount::ShellMount::from_str);
    if let Ok(tmpfs) = mount::parse_tmpfs(text) {
        let printed = tmpfs.tmpfs_value().expect("a tmpfs");
        assert_eq!(mount::parse_tmpfs(&printed).ok(), Some(tmpfs), "{printed:?}");
    }
    prints(text, annotation::Annotation::from_str);
    prints(text, cdi::CdiName::from_str);
    prints(text, device::DeviceOption::from_str);
    prints(text, dns::NameServer::from_str);
    prints(text, dns::SearchDomain::from_str);
    prints(text, dns::ResolverOption::from_str);
    prints(text, extra_host::ExtraHost::from_str);
    prints(text, hostname::Hostname::from_str);
    prints(text, namespace::IpcMode::from_str);
    prints(text, namespace::PidMode::from_str);
    prints(text, namespace::UtsMode::from_str);
    prints(text, restart::RestartPolicy::from_str);
    prints(text, sysctl::Sysctl::from_str);
    prints(text, ulimit::Ulimit::from_str);
    prints(text, user::UserSpec::from_str);
    unprinted(text);
}

/// Those that print in another form, or not at all.
fn unprinted(text: &str) {
    let _ = text.parse::<network::NetworkOption>();
    let _ = text.parse::<environment::EnvironmentOption>();
    let _ = environment::parse_env_file("file", text);
    let _ = text.parse::<gpus::GpuOption>().and_then(|gpus| gpus.devices());
    let _ = text.parse::<security::SecurityOption>();
    let _ = text.parse::<signal::Signal>();
    let _ = text.parse::<log::LogOption>();
    let _ = text.parse::<Label>();
    let _ = text.parse::<VolumesFrom>();
    let _ = health::parse_health_duration("interval", text);
    let _ = dockerfile::parse_duration(text);
    let _ = size::parse_size(text);
    let _ = resources::parse_memory(text);
    let _ = resources::parse_memory_swap(text);
    let _ = resources::parse_cpus(text);
    let _ = resources::parse_shm_size(text);
}

/// Patterns, one a line, the last line being the path that they are tried on.
pub fn exclude(input: &[u8]) {
    let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    let Some(path) = lines.pop() else { return };
    let Ok(set) = ExcludeSet::parse(lines.iter().copied()) else { return };
    let excludes = set.excludes(path);
    assert!(!excludes || set.excludes_with_parents(path));
    assert!(!excludes || !set.is_empty());
    if let Ok(set) = set.with_clean(lines) {
        assert!(!excludes || set.excludes(path));
    }
}

/// Programs of an image.
pub fn elf(input: &[u8]) {
    if let Ok(Some(identity)) = elf::parse_identity(input) {
        let _ = (identity.platform(), identity.is_x32());
        if let elf::Interpreter::Path(path) = &identity.interpreter {
            assert!(!path.is_empty() && !path.contains(&0));
        }
    }
}

/// The account files of an image: a user, `/etc/passwd` and `/etc/group`, with a
/// NUL between each.
pub fn accounts(input: &[u8]) {
    let mut parts = input.splitn(3, |&byte| byte == 0);
    let spec = parts.next().and_then(text).and_then(|text| text.parse::<user::UserSpec>().ok());
    let (passwd, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some(Ok(mut user)) = spec.map(|spec| user::resolve(&spec, passwd, group)) else { return };
    let wanted = [user::Principal::Name("video".into()), user::Principal::Id(7)];
    let _ = user::add_groups(&mut user, &wanted, group);
}
