//! The work: a queue and one thread that answers what is in it. Knows nothing of the ABI.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What waits for the thread.
pub enum Job {
    Message(u64),
    Call { token: u64, body: Vec<u8> },
}

/// Where answers go. Called on the thread, or in `stop` on its caller's, without a lock.
pub trait Answers: Send + Sync + 'static {
    /// These messages are stored, or cancelled.
    fn messages(&self, tokens: &[u64], stored: bool);
    fn reply(&self, token: u64, body: &[u8]);
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    working: usize,
    stopping: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Thread-safe.
pub struct Echo<A: Answers> {
    window: usize,
    shared: Arc<Shared>,
    answers: Arc<A>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<A: Answers> Echo<A> {
    pub fn new(window: usize, answers: Arc<A>) -> Echo<A> {
        Echo { window, shared: Arc::default(), answers, thread: Mutex::new(None) }
    }

    pub fn start(&self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let answers = Arc::clone(&self.answers);
        let thread = std::thread::Builder::new()
            .name("rust_echo".to_string())
            .spawn(move || run(&shared, &*answers))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    pub fn credit(&self) -> usize {
        let state = self.shared.lock();
        self.window.saturating_sub(state.jobs.len() + state.working)
    }

    /// False where the window is full.
    pub fn push(&self, job: Job) -> bool {
        let mut state = self.shared.lock();
        if state.jobs.len() + state.working >= self.window {
            return false;
        }
        state.jobs.push_back(job);
        self.shared.changed.notify_all();
        true
    }

    /// False where something is still waiting after `limit`.
    pub fn await_idle(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        while !state.jobs.is_empty() || state.working > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Ends the thread; what still waits is cancelled.
    pub fn stop(&self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its panic was told by the panic hook; there is nothing more to do here.
            let _ = thread.join();
        }
        let jobs = std::mem::take(&mut self.shared.lock().jobs);
        let tokens: Vec<u64> = jobs
            .iter()
            .filter_map(|job| match job {
                Job::Message(token) => Some(*token),
                Job::Call { .. } => None,
            })
            .collect();
        if !tokens.is_empty() {
            self.answers.messages(&tokens, false);
        }
    }
}

fn run<A: Answers>(shared: &Shared, answers: &A) {
    while let Some(jobs) = take(shared) {
        let mut tokens = Vec::with_capacity(jobs.len());
        for job in &jobs {
            match job {
                Job::Message(token) => tokens.push(*token),
                Job::Call { token, body } => answers.reply(*token, body),
            }
        }
        if !tokens.is_empty() {
            answers.messages(&tokens, true);
        }
        shared.lock().working = 0;
        shared.changed.notify_all();
    }
}

/// Everything that waits, or nothing when the thread is to end.
fn take(shared: &Shared) -> Option<VecDeque<Job>> {
    let mut state = shared.lock();
    while state.jobs.is_empty() && !state.stopping {
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    if state.stopping {
        return None;
    }
    state.working = state.jobs.len();
    Some(std::mem::take(&mut state.jobs))
}
