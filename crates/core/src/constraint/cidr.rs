//! `cidr`: IP addresses and networks inside a network.
//!
//! | | |
//! |---|---|
//! | members | `network`: string, required, a network in canonical spelling (`10.0.0.0/8`, `2001:db8::/32`) |
//! | check | the value is a string, an address or a network in canonical spelling, and all of it lies in `network` |
//! | covers | the same type when the child's network lies in the parent's; `exact` and `one_of` when every value is permitted |
//! | cost | constant (texts longer than any address are refused by the parser) |
//!
//! Canonical is dotted decimal without leading zeros and RFC 5952 in lower
//! case; bits beyond the prefix are zero; no zone. IPv4 and IPv6 never contain
//! one another: a value that is or meets an IPv4-mapped address
//! (`::ffff:0:0/96`) is refused, since tools differ on what it reaches.
//!
//! **Soundness**: containment of prefixes is transitive, and the rule on mapped
//! addresses does not depend on the constraint.

use std::fmt::{self, Write};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

use super::ConstraintError;
use super::parse::Members;
use crate::json::{Json, Object};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cidr {
    network: IpNet,
}

impl Cidr {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, ConstraintError> {
        let network = network(members.text("network")?).ok_or_else(|| {
            members.invalid(
                "network",
                "an IPv4 or IPv6 network in canonical form, such as `10.0.0.0/8`",
            )
        })?;
        if inside_mapped(&network) {
            return Err(members.invalid("network", "written as an IPv4 network"));
        }
        Ok(Self { network })
    }

    pub(super) fn permits(&self, value: &Json) -> bool {
        let Some(text) = value.as_str() else { return false };
        let found = if text.contains('/') { network(text) } else { address(text) };
        found.is_some_and(|found| self.network.contains(&found) && !meets_mapped(&found))
    }

    pub(super) fn covers(&self, child: &Self) -> bool {
        self.network.contains(&child.network)
    }

    pub(super) fn write(&self, object: Object) -> Object {
        object.with("network", self.network.to_string())
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network: IpNet = text.parse().ok()?;
    (network == network.trunc() && is_written(text, &network)).then_some(network)
}

fn address(text: &str) -> Option<IpNet> {
    let address: IpAddr = text.parse().ok()?;
    is_written(text, &address).then(|| address.into())
}

fn mapped() -> Ipv6Net {
    let base = std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
    Ipv6Net::new_assert(base, 96)
}

fn inside_mapped(network: &IpNet) -> bool {
    matches!(network, IpNet::V6(v6) if mapped().contains(v6))
}

fn meets_mapped(network: &IpNet) -> bool {
    matches!(network, IpNet::V6(v6) if mapped().contains(v6) || v6.contains(&mapped()))
}

/// Whether `value` is displayed as `text`, without building the string.
fn is_written(text: &str, value: &impl fmt::Display) -> bool {
    struct Rest<'t>(&'t str);
    impl Write for Rest<'_> {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(piece).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    write!(rest, "{value}").is_ok() && rest.0.is_empty()
}
