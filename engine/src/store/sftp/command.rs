//! The command line of `ssh`. No secret is ever on it.

use std::ffi::OsString;
use std::process::Stdio;

use tokio::process::Command;

use super::askpass;
use super::settings::{HostKey, SftpLogin, SftpSettings};

/// Starts nothing yet. `asked` is where a password is to be asked for.
pub(super) fn ssh(settings: &SftpSettings, asked: Option<&askpass::Desk>) -> Command {
    let mut command = Command::new(&settings.ssh);
    command.args(arguments(settings));
    if let Some(desk) = asked {
        command.env("SSH_ASKPASS", &settings.askpass).env("SSH_ASKPASS_REQUIRE", "force");
        command.env(askpass::VARIABLE, desk.address());
    }
    // Messages are read: they must be the ones that are known.
    command.env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // What a terminal sends to the daemon must not end the connection before the daemon has given its locks back.
    command.process_group(0);
    command
}

fn arguments(settings: &SftpSettings) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-F".into()];
    arguments.push(settings.ssh_config.as_ref().map_or("none".into(), |path| path.into()));
    let mut option = |name: &str, value: &std::ffi::OsStr| {
        let mut text = OsString::from(format!("-o{name}="));
        text.push(value);
        arguments.push(text);
    };
    for (name, value) in FIXED {
        option(name, value.as_ref());
    }
    option("ConnectTimeout", settings.connect.as_secs().max(1).to_string().as_ref());
    match &settings.host_key {
        HostKey::Known(file) => {
            option("StrictHostKeyChecking", "yes".as_ref());
            if let Some(file) = file {
                option("UserKnownHostsFile", &quoted(file.as_os_str()));
                option("GlobalKnownHostsFile", "/dev/null".as_ref());
            }
        }
        HostKey::Insecure => {
            option("StrictHostKeyChecking", "no".as_ref());
            option("UserKnownHostsFile", "/dev/null".as_ref());
            option("GlobalKnownHostsFile", "/dev/null".as_ref());
        }
    }
    match &settings.login {
        SftpLogin::Standard => option("BatchMode", "yes".as_ref()),
        SftpLogin::Key(file) => {
            option("BatchMode", "yes".as_ref());
            option("IdentitiesOnly", "yes".as_ref());
            option("IdentityAgent", "none".as_ref());
            option("IdentityFile", &quoted(file.as_os_str()));
        }
        SftpLogin::Agent(socket) => {
            option("BatchMode", "yes".as_ref());
            option("IdentityAgent", &quoted(socket.as_os_str()));
            option("IdentityFile", "none".as_ref());
        }
        SftpLogin::Password(_) => {
            option("PubkeyAuthentication", "no".as_ref());
            option("PreferredAuthentications", "password,keyboard-interactive".as_ref());
            option("NumberOfPasswordPrompts", "1".as_ref());
        }
    }
    let location = &settings.location;
    if let Some(user) = location.user() {
        arguments.extend(["-l".into(), user.into()]);
    }
    if let Some(port) = location.port() {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    arguments.extend(["-s".into(), "--".into(), location.host().into(), "sftp".into()]);
    arguments
}

/// What is the same for all. A server that is gone is noticed after 45 seconds.
const FIXED: [(&str, &str); 13] = [
    ("ServerAliveInterval", "15"),
    ("ServerAliveCountMax", "3"),
    ("TCPKeepAlive", "yes"),
    ("UpdateHostKeys", "no"),
    ("ControlMaster", "no"),
    ("ControlPath", "none"),
    ("ForwardAgent", "no"),
    ("ForwardX11", "no"),
    ("ClearAllForwardings", "yes"),
    ("PermitLocalCommand", "no"),
    ("RequestTTY", "no"),
    ("EscapeChar", "none"),
    ("Compression", "no"),
];

/// As files stand in options: between quotes, with nothing that `ssh` would expand.
fn quoted(path: &std::ffi::OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut text = vec![b'"'];
    for byte in path.as_bytes() {
        match byte {
            b'%' => text.extend(b"%%"),
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            other => text.push(*other),
        }
    }
    text.push(b'"');
    OsString::from_vec(text)
}
