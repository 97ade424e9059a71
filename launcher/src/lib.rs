//! The `nunchi` launcher: reads pipeline descriptions and runs each of their processes as a supervised child.
//!
//! Only [`runner`] links GStreamer, and only the `nunchi runner` child initialises it. Everything else is the parent:
//! [`spec`] reads descriptions, [`supervisor`] keeps the children, [`ipc`] is the contract between the two. [`serve`] does its work for
//! clients over HTTP; [`pictures`] reads single pictures for them, in a child of its own.

pub mod cli;
mod commands;
pub mod exit;
mod instance;
mod instances;
pub mod ipc;
mod output;
pub mod pictures;
pub mod runner;
pub mod serve;
pub mod spec;
pub mod supervisor;
mod surfaces;
