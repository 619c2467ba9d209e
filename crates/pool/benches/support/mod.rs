//! A pool of tenants that are never really started, for the micro-benchmarks and the instruction
//! counts.
#![allow(dead_code, reason = "each program uses its part")]

use pool::*;

/// Tenants' leases without a race: a vector indexed by run.
#[derive(Default)]
pub struct Clocks {
    touches: Vec<Touch>,
    sequence: u64,
}

impl Clocks {
    fn touch_of(&mut self, run: RunId) -> &mut Touch {
        let index = run.0 as usize;
        if index >= self.touches.len() {
            self.touches.resize(index + 1, Touch::default());
        }
        &mut self.touches[index]
    }
}

impl Leases for Clocks {
    fn open(&mut self, run: RunId, wall_ms: u64) {
        *self.touch_of(run) = Touch { at_ms: wall_ms, sequence: 0 };
    }

    fn touched(&self, run: RunId) -> Touch {
        self.touches[run.0 as usize]
    }

    fn is_in_use(&self, _run: RunId) -> bool {
        false
    }

    fn touch(&mut self, run: RunId, wall_ms: u64) {
        self.sequence += 1;
        *self.touch_of(run) = Touch { at_ms: wall_ms, sequence: self.sequence };
    }

    fn claim(&mut self, run: RunId) -> Touch {
        self.touches[run.0 as usize]
    }

    fn reopen(&mut self, _run: RunId) {}
}

/// A pool with everything it needs to be driven.
pub struct World {
    pub pool: Pool,
    clocks: Clocks,
    now: Now,
    last_call: CallId,
    last_key: usize,
}

impl World {
    /// A full pool: `tenants` ready tenants, with the default options of the package, and room for
    /// no more.
    pub fn full(tenants: usize) -> World {
        World::with_room(tenants, tenants)
    }

    /// `tenants` ready tenants, and room for another.
    pub fn roomy(tenants: usize) -> World {
        World::with_room(tenants, tenants + 1)
    }

    fn with_room(tenants: usize, max_concurrent: usize) -> World {
        let config = Config {
            max_concurrent,
            idle_after_ms: Some(300_000),
            observe_interval_ms: Some(30_000),
            gate: GateConfig { width: Some(4), patience_ms: Some(1_000) },
            ..Config::plain()
        };
        let now = Now { steady_ms: 1, wall_ms: 1_000_000_000 };
        let mut world = World {
            pool: Pool::new(config),
            clocks: Clocks::default(),
            now,
            last_call: 0,
            last_key: 0,
        };
        for _ in 0..tenants {
            world.start_another();
        }
        world
    }

    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        self.pool.handle(self.now, input, &mut self.clocks)
    }

    /// A key that no tenant has had.
    pub fn new_key(&mut self) -> Key {
        self.last_key += 1;
        format!("tenant-{}", self.last_key).into()
    }

    pub fn ensure(&mut self, key: Key) -> Vec<Action> {
        self.last_call += 1;
        self.handle(Input::Ensure { key, call: self.last_call })
    }

    /// A tenant's whole start: asked for, started, ready.
    pub fn start_another(&mut self) -> RunId {
        let key = self.new_key();
        let actions = self.ensure(key);
        self.bring_up(started_run(&actions))
    }

    /// A tenant's whole life.
    pub fn start_and_end_another(&mut self) -> Vec<Action> {
        let run = self.start_another();
        self.end(run)
    }

    /// A new key in a full pool: the least recently touched tenant is stopped and ends, the new one
    /// becomes ready.
    pub fn evict_for_another(&mut self) -> RunId {
        let key = self.new_key();
        let asked = self.ensure(key);
        let victim = asked.iter().find_map(|action| match action {
            Action::Stop { run, .. } => Some(*run),
            _ => None,
        });
        let ended = self.end(victim.expect("a full pool evicts"));
        self.bring_up(started_run(&ended))
    }

    pub fn tick(&mut self) -> Vec<Action> {
        self.handle(Input::Tick)
    }

    pub fn stats(&self) -> Stats {
        self.pool.stats(self.now)
    }

    /// Within a millisecond, which the tenant then has for itself before it can be evicted.
    fn bring_up(&mut self, run: RunId) -> RunId {
        self.handle(Input::Fact(run, Fact::Started { pid: run.0 as u32, port: 1_024 }));
        self.now.steady_ms += 1;
        self.now.wall_ms += 1;
        self.handle(Input::Fact(run, Fact::Ready));
        run
    }

    fn end(&mut self, run: RunId) -> Vec<Action> {
        let exit = Exit { exit_code: Some(0), cpu_ms: Some(1), ..Exit::default() };
        self.handle(Input::Fact(run, Fact::Exited(exit)))
    }
}

fn started_run(actions: &[Action]) -> RunId {
    let started = actions.iter().find_map(|action| match action {
        Action::Start { run, .. } => Some(*run),
        _ => None,
    });
    started.expect("a key that is let in is started")
}
