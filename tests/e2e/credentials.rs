//! Repositories at a cloud service whose credentials are found where the AWS tools find them. The service checks them.

use std::fs;

use cloudstic_e2e::servers::answers::serve;
use cloudstic_e2e::servers::rclone::RcloneS3;
use cloudstic_e2e::site::{Credential, Site};

const ID: &str = "AKIDHUNTER";
const SECRET: &str = "hunter2-secret-access-key";

/// With these variables in its environment and this setting, a daemon makes a repository, and shows no secret.
fn opens(service: &RcloneS3, name: &str, variables: &[(&str, &str)], setting: &str) {
    let mut site = Site::new();
    site.repository_at("main", &format!("s3:backups/{name}"), Credential::None)
        .setting(&format!("s3.endpoint = \"{}\"", service.url()))
        .setting(setting);
    for (name, value) in variables {
        site.environment(name, value);
    }
    let daemon = site.start();
    let made = daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    let listed = daemon.ctl(&["list", "main"]).ok();
    let said = format!("{made:?} {listed:?} {}", daemon.log());
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn credentials_are_found_where_the_aws_tools_find_them() {
    let service = RcloneS3::start(ID, SECRET, "backups");
    opens(&service, "environment", &[("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)], "");

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let keys = format!(
        "[default]\naws_access_key_id = no\naws_secret_access_key = no\n[work]\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n"
    );
    fs::write(path("credentials"), keys).unwrap();
    opens(&service, "file", &[("AWS_SHARED_CREDENTIALS_FILE", &path("credentials"))], "s3.profile = \"work\"");

    let machine = amazon();
    opens(&service, "machine", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &machine)], "");

    fs::write(path("token"), "a token of an identity").unwrap();
    let role = "arn:aws:iam::123456789012:role/backup";
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", path("token")),
        ("AWS_ROLE_ARN", role.to_owned()),
        ("AWS_ENDPOINT_URL_STS", machine.clone()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ];
    opens(&service, "identity", &variables.each_ref().map(|(name, value)| (*name, value.as_str())), "");
}

/// What a machine at Amazon asks: who it is, and which keys somebody with a token gets. Gives the URL.
fn amazon() -> String {
    let keys = format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"{ID}","SecretAccessKey":"{SECRET}","Token":"t","LastUpdated":"2026-01-01T00:00:00Z","Expiration":"2100-01-01T00:00:00Z"}}"#
    );
    let roles = "/latest/meta-data/iam/security-credentials/";
    serve(move |question| match question.target.as_str() {
        "/latest/api/token" => (200, "a-token-of-the-machine".to_owned()),
        target if target == roles => (200, "backup".to_owned()),
        target if target.starts_with(roles) => (200, keys.clone()),
        "/" if question.body.starts_with(b"Action=AssumeRoleWithWebIdentity") => (
            200,
            format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{ID}</AccessKeyId>\
                 <SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>t</SessionToken>\
                 <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
                 </AssumeRoleWithWebIdentityResponse>"
            ),
        ),
        _ => (404, String::new()),
    })
}
