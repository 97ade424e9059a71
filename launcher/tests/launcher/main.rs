//! The `nunchi` program from outside: every verb, every exit code, bad input, signals and hangs.

mod bad_input;
mod evaluate;
mod helper;
mod info;
mod motiontext;
mod run;
mod runner;
mod stop;
mod validate;
