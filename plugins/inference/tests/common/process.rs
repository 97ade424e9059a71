//! Tests in processes of their own.

use std::process::Command;

/// Runs one test of this binary again in a process of its own, in which libraries are looked for as `variables` say.
#[track_caller]
pub fn in_a_process(test: &str, variables: &[(&str, &str)]) -> bool {
    const MARK: &str = "NUNCHI_TEST_IN_A_PROCESS";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
