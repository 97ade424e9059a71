//! What a process serves over RTSP, once its parameters have values.

use crate::exit::{Exit, Failure};
use crate::ipc;
use crate::spec::Rtsp;
use crate::spec::params::Values;

/// The parameter that a text stands for, if it is `${name}`.
pub fn param(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}')
}

/// With the values in place; port 0 becomes one that is free now.
///
/// # Errors
/// A value that is no port or no address.
pub fn fill(rtsp: &Rtsp, process: &str, values: &Values) -> Result<ipc::Rtsp, Failure> {
    let value = |text: &str| match param(text) {
        Some(name) => values.get(name).cloned().unwrap_or_default(),
        None => text.to_owned(),
    };
    let bad = |what: String| Failure::new(Exit::BadDescription, format!("rtsp of process `{process}`: {what}"));
    let (port, address) = (value(&rtsp.port.to_string()), value(&rtsp.address));
    let mut port = port
        .parse::<u16>()
        .map_err(|_| bad(format!("`{port}` is no port, which is a number from 0 to 65535")))?;
    let address = address
        .parse::<std::net::IpAddr>()
        .map_err(|_| bad(format!("`{address}` is no IP address")))?;
    if port == 0 {
        let free = std::net::TcpListener::bind((address, 0)).and_then(|socket| socket.local_addr());
        port = free
            .map_err(|error| bad(format!("no port of {address} is free: {error}")))?
            .port();
    }
    Ok(ipc::Rtsp {
        address,
        port,
        path: rtsp.path.clone(),
        readers: rtsp.readers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Scalar;

    fn filled(port: &str, address: &str) -> Result<ipc::Rtsp, Failure> {
        let values = Values::from([("p".to_owned(), port.to_owned()), ("a".to_owned(), address.to_owned())]);
        let rtsp = Rtsp {
            port: Scalar::String("${p}".into()),
            address: "${a}".into(),
            ..Rtsp::default()
        };
        fill(&rtsp, "source", &values)
    }

    #[test]
    fn values_take_their_places() {
        let rtsp = filled("8555", "0.0.0.0").unwrap();
        assert_eq!(rtsp.url(), "rtsp://127.0.0.1:8555/stream");
        assert_eq!(filled("1", "::1").unwrap().url(), "rtsp://[::1]:1/stream");
        assert_ne!(filled("0", "127.0.0.1").unwrap().port, 0);
    }

    #[test]
    fn what_is_no_port_or_address_is_told() {
        for (port, address, part) in [
            ("65536", "127.0.0.1", "`65536`"),
            ("-1", "127.0.0.1", "`-1`"),
            ("", "127.0.0.1", "``"),
            ("1", "localhost", "`localhost`"),
            ("0", "203.0.113.7", "no port"),
        ] {
            let failure = filled(port, address).unwrap_err();
            assert!(failure.message.contains(part), "{failure:?}");
            assert_eq!(failure.exit, Exit::BadDescription);
        }
    }
}
