//! The desk's data: the same on every machine, about nobody real.

use rusqlite::{Transaction, params};

/// Customer who wrote ticket 8821; has four orders.
pub const CUSTOMER_OF_TICKET_8821: i64 = 1007;
/// The order ticket 8821 is about.
pub const ORDER_OF_TICKET_8821: i64 = 10_072;
/// Customer who wrote ticket 9000: another one.
pub const CUSTOMER_OF_TICKET_9000: i64 = 1042;
/// The order ticket 9000 is about.
pub const ORDER_OF_TICKET_9000: i64 = 10_421;

const CUSTOMERS: std::ops::Range<i64> = 1001..1081;
const TICKETS: std::ops::Range<i64> = 8700..9060;

const GIVEN: [&str; 16] = [
    "Adira", "Bram", "Calla", "Doran", "Elspet", "Fenn", "Galia", "Hollis", "Isaura", "Jory",
    "Kestrel", "Lior", "Maren", "Nils", "Orla", "Peregrin",
];
const FAMILY: [&str; 15] = [
    "Ashgrove",
    "Brindle",
    "Corvane",
    "Dunmarsh",
    "Elderwick",
    "Farrowby",
    "Greymoor",
    "Hartsel",
    "Inglenook",
    "Juniper",
    "Kilder",
    "Larkwell",
    "Mistral",
    "Northcote",
    "Oakhurst",
];
const ITEMS: [(&str, i64); 10] = [
    ("Brass kettle", 4_900),
    ("Walnut desk lamp", 8_950),
    ("Wool blanket", 6_500),
    ("Enamel stock pot", 5_750),
    ("Linen apron", 2_800),
    ("Cast-iron pan", 4_200),
    ("Oak chopping board", 3_350),
    ("Stoneware mug set", 3_900),
    ("Garden lantern", 2_450),
    ("Canvas tote", 1_900),
];
const SUBJECTS: [(&str, &str); 8] = [
    (
        "Parcel has not arrived",
        "The tracking page has not moved for five days. Where is my parcel?",
    ),
    (
        "Arrived damaged",
        "The box was dented and the item inside is cracked. I would like my money back.",
    ),
    ("Wrong item", "I ordered something else. Please send the right one."),
    ("Charged twice", "My statement shows the same amount two times for one order."),
    ("Change of address", "I have moved. Can you send it to the new address?"),
    ("Question about returns", "How long do I have to send an item back?"),
    ("Invoice needed", "Please send an invoice made out to my workshop."),
    ("Missing part", "The screws were not in the box."),
];
const ORDER_STATUS: [&str; 4] = ["delivered", "shipped", "paid", "delivered"];
const TICKET_STATUS: [&str; 3] = ["open", "waiting", "closed"];
const PRIORITY: [&str; 4] = ["normal", "low", "normal", "high"];

/// How many orders a customer has.
fn order_count(customer_id: i64) -> i64 {
    if customer_id == CUSTOMER_OF_TICKET_8821 { 4 } else { 1 + (customer_id * 7) % 5 }
}

/// The ids of a seeded customer's orders.
pub fn orders_of(customer_id: i64) -> Vec<i64> {
    if CUSTOMERS.contains(&customer_id) {
        (1..=order_count(customer_id)).map(|number| customer_id * 10 + number).collect()
    } else {
        Vec::new()
    }
}

/// Element `index` of a table, going round. Only for the tables above, which are not empty.
fn pick<T: Copy + Default>(table: &[T], index: i64) -> T {
    let length = i64::try_from(table.len()).unwrap_or(1).max(1);
    usize::try_from(index.rem_euclid(length))
        .ok()
        .and_then(|at| table.get(at).copied())
        .unwrap_or_default()
}

/// Fills empty tables.
pub(super) fn fill(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut customer =
        tx.prepare("INSERT INTO customer (customer_id, name, email) VALUES (?1, ?2, ?3)")?;
    let mut order = tx.prepare(
        "INSERT INTO \"order\" (order_id, customer_id, item, total_cents, refunded_cents, status, placed)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)",
    )?;
    for id in CUSTOMERS {
        let (given, family) = (pick(&GIVEN, id * 5), pick(&FAMILY, id * 4 + id / 15));
        let email = format!("{}.{}@customers.example", given.to_lowercase(), family.to_lowercase());
        customer.execute(params![id, format!("{given} {family}"), email])?;
        for (number, order_id) in (1..).zip(orders_of(id)) {
            let (item, cents) = pick(&ITEMS, id * 3 + number * 7);
            let quantity = 1 + (id + number) % 3;
            let placed = format!(
                "2026-{:02}-{:02}",
                1 + (id + number * 2) % 9,
                1 + (id * 11 + number * 5) % 28
            );
            order.execute(params![
                order_id,
                id,
                item,
                cents * quantity,
                pick(&ORDER_STATUS, id + number),
                placed
            ])?;
        }
    }
    let mut ticket = tx.prepare(
        "INSERT INTO ticket (ticket_id, customer_id, order_id, subject, body, status, priority)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let customers = CUSTOMERS.end - CUSTOMERS.start;
    for id in TICKETS {
        let drawn = CUSTOMERS.start + (id * 37 + id / 7) % customers;
        let drawn_order = drawn * 10 + 1 + id % order_count(drawn);
        let (customer_id, order_id, about) = match id {
            8821 => (CUSTOMER_OF_TICKET_8821, ORDER_OF_TICKET_8821, 1),
            9000 => (CUSTOMER_OF_TICKET_9000, ORDER_OF_TICKET_9000, 3),
            _ => (drawn, drawn_order, id * 3),
        };
        let (subject, body) = pick(&SUBJECTS, about);
        let status = if matches!(id, 8821 | 9000) { "open" } else { pick(&TICKET_STATUS, id) };
        ticket.execute(params![
            id,
            customer_id,
            order_id,
            subject,
            body,
            status,
            pick(&PRIORITY, id)
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_s_tickets_belong_to_different_customers_and_to_orders_of_theirs() {
        assert_ne!(CUSTOMER_OF_TICKET_8821, CUSTOMER_OF_TICKET_9000);
        assert_eq!(orders_of(CUSTOMER_OF_TICKET_8821), [10_071, 10_072, 10_073, 10_074]);
        assert!(orders_of(CUSTOMER_OF_TICKET_9000).contains(&ORDER_OF_TICKET_9000));
    }
}
