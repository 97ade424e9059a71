//! `nunchi motiontext validate`: what is wrong with scenarios, missing fonts and characters included.

use std::path::Path;

use nunchi_motiontext::Warning;
use nunchi_motiontext::player::{OpenError, Stage};
use serde::Serialize;

use super::{failure, open};
use crate::cli::{Format, MotionTextValidateArgs};
use crate::exit::Exit;
use crate::output;

/// So often in its length a scenario is drawn: what fonts lack is found when text is set.
const LOOKS: u32 = 100;
const SMALL: Stage = Stage {
    width: 320,
    height: 180,
    pixel_aspect: 1.0,
};

#[derive(Serialize)]
struct Account {
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Said>,
    warnings: Vec<Said>,
    /// When there may be something to see, seconds; not there if there never is, or always.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<f64>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Serialize)]
struct Said {
    /// The place in the scenario; empty for the whole.
    path: String,
    message: String,
}

impl From<Warning> for Said {
    fn from(Warning { path, message }: Warning) -> Self {
        Self { path, message }
    }
}

pub fn run(args: &MotionTextValidateArgs) -> Exit {
    let mut first = Exit::Ok;
    let mut accounts = Vec::new();
    for file in &args.files {
        let account = look(file, args);
        if first == Exit::Ok {
            first = account.exit;
        }
        match args.format {
            Format::Text => tell(&account),
            Format::Json => accounts.push(account),
        }
    }
    if args.format == Format::Json {
        match serde_json::to_string_pretty(&accounts) {
            Ok(text) => output::print(&(text + "\n")),
            Err(error) => {
                output::error(error);
                return Exit::Internal;
            }
        }
    }
    first
}

fn look(file: &Path, args: &MotionTextValidateArgs) -> Account {
    let name = file.display().to_string();
    let (mut player, mut warnings) = match open(file, &args.options) {
        Ok(opened) => opened,
        Err(error) => {
            let path = match &error {
                OpenError::Scenario { error, .. } | OpenError::Text(error) => error.path.clone(),
                OpenError::File { .. } | OpenError::Fonts(_) => String::new(),
            };
            let failure = failure(&error);
            return Account {
                file: name,
                ok: false,
                warnings: Vec::new(),
                start: None,
                end: None,
                exit: failure.exit,
                error: Some(Said {
                    path,
                    message: failure.message,
                }),
            };
        }
    };
    let life = player
        .scenario()
        .lifetime()
        .map(|life| (life.start, life.end))
        .filter(|(start, end)| start.is_finite() && end.is_finite());
    let (start, end) = life.unwrap_or((0.0, 60.0));
    for n in 0..=LOOKS {
        player.picture(start + (end - start) * f64::from(n) / f64::from(LOOKS), SMALL);
    }
    warnings.extend(player.missing());
    let exit = if args.strict && !warnings.is_empty() {
        Exit::BadDescription
    } else {
        Exit::Ok
    };
    Account {
        file: name,
        ok: exit == Exit::Ok,
        error: None,
        warnings: warnings.into_iter().map(Said::from).collect(),
        start: life.map(|(start, _)| start),
        end: life.map(|(_, end)| end),
        exit,
    }
}

fn tell(account: &Account) {
    if let Some(error) = &account.error {
        output::error(&error.message);
        return;
    }
    for Said { path, message } in &account.warnings {
        output::note(format_args!("warning: {}: {path}: {message}", account.file));
    }
    let shown = match (account.start, account.end) {
        (Some(start), Some(end)) => format!("alive from {start:.3} s to {end:.3} s"),
        _ => "no end".to_owned(),
    };
    let warnings = match account.warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        n => format!(", {n} warnings"),
    };
    let word = if account.ok { "ok" } else { "not ok" };
    output::print(&format!("{}: {word} ({shown}{warnings})\n", account.file));
}
