//! The PROXY protocol's header (HAProxy, doc/proxy-protocol.txt, sections 2.1 and 2.2).
//!
//! Contract: pure. An IPv4 client that came over an IPv6 socket is told as IPv4. Where the two ends are of
//! different families both are told as IPv6, since one header has one family.

use std::net::{IpAddr, SocketAddr};

use crate::config::ProxyProtocol;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const PROXY: u8 = 0x21;
/// TCP over IPv4 and IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// The header for a client's connection from `source` that was accepted at `destination`.
pub(crate) fn header(version: ProxyProtocol, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
    let (from, to) = if from.is_ipv4() == to.is_ipv4() { (from, to) } else { (as_v6(from), as_v6(to)) };
    match version {
        ProxyProtocol::V1 => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
        }
        ProxyProtocol::V2 => {
            let (family, length) = if from.is_ipv4() { (TCP4, 12_u16) } else { (TCP6, 36) };
            let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
            [&SIGNATURE[..], &[PROXY, family], &length.to_be_bytes(), &octets(from), &octets(to), &ports].concat()
        }
    }
}

fn as_v6(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
        IpAddr::V6(_) => address,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str, destination: &str) -> String {
        let header = header(ProxyProtocol::V1, source.parse().unwrap(), destination.parse().unwrap());
        String::from_utf8(header).unwrap()
    }

    fn binary(source: &str, destination: &str) -> Vec<u8> {
        header(ProxyProtocol::V2, source.parse().unwrap(), destination.parse().unwrap())
    }

    #[test]
    fn version_1_is_one_line() {
        assert_eq!(text("192.0.2.1:5000", "10.0.0.2:80"), "PROXY TCP4 192.0.2.1 10.0.0.2 5000 80\r\n");
        assert_eq!(text("[2001:db8::1]:5000", "[fd00::2]:80"), "PROXY TCP6 2001:db8::1 fd00::2 5000 80\r\n");
    }

    #[test]
    fn a_v4_client_on_a_v6_socket_is_told_as_v4() {
        assert_eq!(text("[::ffff:192.0.2.1]:5", "[::ffff:10.0.0.2]:80"), "PROXY TCP4 192.0.2.1 10.0.0.2 5 80\r\n");
    }

    #[test]
    fn ends_of_two_families_are_told_as_v6() {
        assert_eq!(text("192.0.2.1:5", "[fd00::2]:80"), "PROXY TCP6 ::ffff:192.0.2.1 fd00::2 5 80\r\n");
    }

    #[test]
    fn version_2_is_binary() {
        let v4 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x02\x13\x88\x00\x50";
        assert_eq!(binary("192.0.2.1:5000", "10.0.0.2:80"), v4);
        let v6 = binary("[2001:db8::1]:5000", "[fd00::2]:80");
        assert_eq!(v6[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24");
        assert_eq!(v6[16..32], "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert_eq!((v6.len(), &v6[48..]), (52, &[0x13, 0x88, 0, 80][..]));
    }
}
