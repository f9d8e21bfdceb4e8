//! Faults by chance, from a seed that is printed, with restarts that forget every number.

use std::collections::HashSet;
use std::time::Duration;

use shipper_tests::collector::{Fault, HecPlan};

use super::line::{Delivery, Given, collector};

const SEEDS: std::ops::Range<u64> = 0..5;

/// Some questions fit into it. What is acknowledged later is sent twice, which is allowed.
const PATIENCE: Duration = Duration::from_millis(400);

/// Splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }

    fn fault(&mut self) -> Fault {
        let taken = self.below(2) == 0;
        match self.below(14) {
            0 => Fault::CloseBeforeAnswer { taken },
            1 => Fault::Reset { taken },
            2 => Fault::Garbage { taken },
            3 => Fault::CloseAtAnswerByte(self.below(200) as usize),
            4 => Fault::CloseAtRequestByte(self.below(2_000) as usize),
            5 => Fault::Lost,
            6 => Fault::Status([429, 500, 502, 503][self.below(4) as usize]),
            7 => Fault::hec([8, 9, 18, 19, 20, 23, 26, 27][self.below(8) as usize]),
            8 => Fault::OkWith("{}".to_owned()),
            _ => Fault::Well,
        }
    }
}

#[test]
fn nothing_is_confirmed_that_no_indexer_acknowledged_whatever_fails() -> anyhow::Result<()> {
    for seed in SEEDS {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let plan = HecPlan { ack: true, false_polls: dice.below(2) as u32, ..HecPlan::default() };
        let collector = collector(plan)?;
        collector.script((0..30).map(|_| dice.fault()).collect::<Vec<_>>());
        let given = Given {
            events: 60,
            batch_events: 10,
            concurrency: 1 + dice.below(5) as usize,
            acknowledgement: Some(PATIENCE),
            ..Given::default()
        };
        let mut delivery = Delivery::start(&[&collector], &given)?;
        let mut requests = 0;
        for _ in 0..dice.below(3) {
            requests += 10 + dice.below(10) as usize;
            collector.wait("some requests", |account| account.requests >= requests)?;
            collector.die();
            collector.revive()?;
        }
        delivery.finish_all()?;
        let account = collector.account();
        let missing: HashSet<_> =
            delivery.ids.iter().filter(|id| !account.acked.contains(*id)).collect();
        assert!(missing.is_empty(), "seed {seed}: never acknowledged: {missing:?}");
    }
    Ok(())
}
