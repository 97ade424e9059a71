//! `nunchi serve` from outside: old clients, hostile ones, and a worker that is killed, stopped or not there.

mod client;
mod http;
mod instances;
mod pool;
mod recording;
mod server;
mod socket;
