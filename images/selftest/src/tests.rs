//! The tests, one function each.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::hint::black_box;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Runs the test that the boot words name.
pub fn run() {
    let mut words = std::env::args().skip(1);
    let test = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    let number = |default| words.first().and_then(|word| word.parse().ok()).unwrap_or(default);
    match test.as_str() {
        "arguments" => words.iter().for_each(|word| println!("[{word}]")),
        "exit" => process::exit(number(0)),
        "exit-now" => hermit::exit(number(0)),
        "unterminated" => print!("a line without an end"),
        "panic" => panic!("as asked"),
        "panic-in-thread" => panic_in_thread(),
        "abort" => process::abort(),
        "null" => null(),
        "jump" => jump(),
        "invalid-instruction" => invalid_instruction(),
        "protection" => protection(),
        "divide" => divide(number(0)),
        "overflow" => overflow(),
        "overflow-in-thread" => overflow_in_thread(),
        "out-of-memory" => out_of_memory(),
        "memory" => memory(number(1) as usize),
        "threads" => threads(),
        "sleep" => sleep(),
        "timeouts" => timeouts(),
        "notify-race" => notify_race(),
        "time" => time(),
        "entropy" => entropy(),
        "interrupt" => interrupt(),
        "idle" => thread::sleep(Duration::from_secs(number(5) as u64)),
        "float" => float(),
        "copy" => copy(),
        "order" => order(),
        "aes-gcm" => aes_gcm(number(128) as usize, 64),
        other => {
            eprintln!("no test {other:?}");
            process::exit(64);
        }
    }
}

/// Opens so many MiB in records as large as TLS's with a key of so many bits; prints the speed.
fn aes_gcm(bits: usize, mib: usize) {
    use graviola::aead::AesGcm;
    let key = AesGcm::new(&[7; 32][..bits / 8]);
    let (nonce, head) = ([1; 12], [23, 3, 3, 64, 17]);
    let mut sealed = vec![5; 16 << 10];
    let mut tag = [0; 16];
    key.encrypt(&nonce, &head, &mut sealed, &mut tag);
    let mut record = sealed.clone();
    let mut spent = Duration::ZERO;
    let records = mib * 64;
    for _ in 0..records {
        record.copy_from_slice(&sealed);
        let start = Instant::now();
        let opened = key.decrypt(&nonce, &head, &mut record, &tag);
        spent += start.elapsed();
        assert!(opened.is_ok() && record[0] == 5, "a record does not open");
    }
    println!("{:.1} MB/s", (records * record.len()) as f64 / 1e6 / spent.as_secs_f64());
}

fn panic_in_thread() {
    let thread = thread::spawn(|| panic!("as asked, in a thread"));
    let _ = thread.join();
    println!("still here");
}

fn null() {
    // SAFETY: none, it is to fault.
    let value = unsafe { black_box(std::ptr::null::<u64>()).read_volatile() };
    println!("read {value}");
}

fn jump() {
    // SAFETY: none, it is to fault.
    let function: fn() = unsafe { std::mem::transmute(black_box(0x1234_5678_9000usize)) };
    function();
    println!("returned");
}

fn invalid_instruction() {
    // SAFETY: none, it is to fault.
    unsafe { std::arch::asm!("ud2") };
    println!("went on");
}

fn protection() {
    // SAFETY: none, it is to fault: the address is not canonical.
    let value = unsafe { black_box(0x8000_0000_0000_0000usize as *const u64).read_volatile() };
    println!("read {value}");
}

fn divide(by: i32) {
    // SAFETY: none, it is to fault; Rust's own division checks.
    unsafe {
        std::arch::asm!("cdq", "idiv {by:e}", by = in(reg) by, inout("eax") 1 => _, out("edx") _)
    };
    println!("divided");
}

fn overflow() {
    println!("{}", recurse(1));
}

fn overflow_in_thread() {
    let thread = thread::spawn(|| recurse(1));
    println!("{:?}", thread.join());
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if frame[0] == 0 {
        return 0;
    }
    recurse(depth + 1) + black_box(&frame)[63]
}

fn out_of_memory() {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    loop {
        blocks.push(vec![1; 1 << 20]);
    }
}

/// Writes and reads so many mebibytes of heap.
fn memory(mebibytes: usize) {
    let blocks: Vec<Vec<u8>> = (0..mebibytes).map(|i| vec![i as u8; 1 << 20]).collect();
    let sum: usize = blocks.iter().flatten().map(|byte| usize::from(*byte)).sum();
    println!("{mebibytes} MiB, sum {sum}");
}

fn threads() {
    let counter = Arc::new(Mutex::new(0));
    let (sender, receiver) = mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let (counter, sender) = (counter.clone(), sender.clone());
            thread::spawn(move || {
                for _ in 0..1000 {
                    *counter.lock().unwrap() += 1;
                    thread::yield_now();
                }
                sender.send(i).unwrap();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(sender);
    let mut order: Vec<i32> = receiver.iter().collect();
    order.sort_unstable();
    println!("count {} threads {order:?}", counter.lock().unwrap());
}

/// A thread that sleeps long must not put off one that sleeps short, in either order.
fn sleep() {
    let long = thread::spawn(|| thread::sleep(Duration::from_millis(1000)));
    thread::yield_now();
    for _ in 0..3 {
        let start = Instant::now();
        thread::sleep(Duration::from_millis(20));
        println!("slept 20 ms in {} ms", start.elapsed().as_millis());
    }
    let start = Instant::now();
    let longer = thread::spawn(|| thread::sleep(Duration::from_millis(3000)));
    thread::yield_now();
    long.join().unwrap();
    println!("the long sleep ended after {} ms more", start.elapsed().as_millis());
    drop(longer);
}

fn timeouts() {
    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let (lock, condition) = &*pair;
    let start = Instant::now();
    let (guard, result) =
        condition.wait_timeout(lock.lock().unwrap(), Duration::from_millis(50)).unwrap();
    drop(guard);
    println!("timed out {} after {} ms", result.timed_out(), start.elapsed().as_millis());

    // The longest timeouts have to block as well, not to spin or to end.
    for timeout in
        [Duration::MAX, Duration::from_micros(u64::MAX), Duration::from_micros(u64::MAX - 1)]
    {
        let other = pair.clone();
        let waker = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            *other.0.lock().unwrap() = true;
            other.1.notify_one();
        });
        let mut rounds = 0;
        let mut set = lock.lock().unwrap();
        while !*set {
            rounds += 1;
            set = condition.wait_timeout(set, timeout).unwrap().0;
        }
        *set = false;
        drop(set);
        waker.join().unwrap();
        println!("woken, rounds {rounds}");
    }

    let start = Instant::now();
    thread::park_timeout(Duration::from_millis(20));
    println!("parked for {} ms", start.elapsed().as_millis());
}

/// Notifies a waiter just when its timeout ends, many times.
fn notify_race() {
    let pair = Arc::new((Mutex::new(()), Condvar::new()));
    let (timed_out, woken) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let other = pair.clone();
        let waker = scope.spawn(move || {
            for i in 0..500 {
                thread::sleep(Duration::from_micros(10_000 + i % 40 * 10));
                other.1.notify_all();
            }
        });
        while !waker.is_finished() {
            let guard = pair.0.lock().unwrap();
            let waited = pair.1.wait_timeout(guard, Duration::from_micros(10_100)).unwrap();
            let timed_out_now = waited.1.timed_out();
            if timed_out_now { &timed_out } else { &woken }.fetch_add(1, Ordering::Relaxed);
        }
    });
    let rounds = timed_out.into_inner() + woken.into_inner();
    println!("{}", if rounds > 100 { "no race lost" } else { "too few rounds" });
}

fn time() {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970");
    println!("{}", since.as_secs());
    let start = (Instant::now(), SystemTime::now());
    thread::sleep(Duration::from_millis(100));
    let (monotonic, wall) = (start.0.elapsed(), start.1.elapsed().expect("time goes forward"));
    println!("{} ms {} ms", monotonic.as_millis(), wall.as_millis());
}

fn entropy() {
    let get = || {
        let mut octets = [0; 16];
        getrandom::fill(&mut octets).map(|()| octets != [0; 16])
    };
    println!("ready {}", hermit::entropy::is_ready());
    println!("getrandom {:?}", get().map_err(|_| "failed"));
    println!("fill {:?}", hermit::entropy::fill(&mut [0; 100]));
    // A hash map of this thread works in any case.
    println!("map {:?}", HashMap::from([(1, 2)]).get(&1));
    hermit::entropy::add(b"sixteen octets..");
    println!("after 16: ready {}", hermit::entropy::is_ready());
    hermit::entropy::add(b"another sixteen.");
    println!("after 32: ready {}", hermit::entropy::is_ready());
    println!("getrandom {:?}", get().map_err(|_| "failed"));
    let map = thread::spawn(|| HashMap::from([(1, 2)]).get(&1).copied());
    println!("map in a thread {:?}", map.join().ok());
}

/// Waits for the keyboard controller's interrupt, which the program raises by a command.
fn interrupt() {
    let vector = 0x50;
    let word = hermit::interrupt::watch(vector);
    let seen = word.load(Ordering::SeqCst);
    let start = Instant::now();
    hermit::interrupt::wait(word, seen, Some(Duration::from_millis(50)));
    println!("timeout after {} ms", start.elapsed().as_millis());
    hermit::interrupt::wait(word, seen.wrapping_add(1), None);
    println!("another value does not block");
    let waiter = thread::spawn(move || {
        hermit::interrupt::wait(word, seen, Some(Duration::from_secs(10)));
        word.load(Ordering::SeqCst).wrapping_sub(seen)
    });
    thread::sleep(Duration::from_millis(20));
    // SAFETY: the vector is the generic handler's, which acknowledges and returns.
    unsafe { std::arch::asm!("int 0x50") };
    println!("interrupts {}", waiter.join().unwrap());
}

/// Vector registers have to survive switches between threads.
fn float() {
    let sums: Vec<_> = (0..4)
        .map(|i| {
            thread::spawn(move || {
                let mut sums = [f64::from(i); 8];
                for _ in 0..2000 {
                    sums.iter_mut().for_each(|sum| *sum += 0.5);
                    thread::yield_now();
                }
                sums.iter().sum::<f64>()
            })
        })
        .collect::<Vec<_>>()
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    println!("{sums:?}");
}

/// Measures the memory functions.
fn copy() {
    for length in [16, 64, 256, 1500, 16 << 10, 1 << 20] {
        let source = vec![1u8; length];
        let mut target = vec![0u8; length];
        let rounds = (64 << 20) / length;
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(&mut target[..]).copy_from_slice(black_box(&source));
        }
        let copied = start.elapsed();
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(&mut target[..]).fill(black_box(7));
        }
        let rate = |time: Duration| 64_000.0 * 1.048_576 / time.as_secs_f64() / 1e3;
        println!("{length}: copy {:.0} MB/s, fill {:.0} MB/s", rate(copied), rate(start.elapsed()));
    }
}

/// Arrays of lengths that the compiler compares without a call, in both directions: less, equal and greater.
fn order() {
    fn check<const N: usize>() {
        for at in [0, N / 2, N - 1] {
            let (mut low, mut high) = ([0x90; N], [0x90; N]);
            (low[at], high[at]) = (0x7f, 0x80);
            if at + 1 < N {
                (low[at + 1], high[at + 1]) = (0xff, 0);
            }
            let (low, high) = (black_box(&low), black_box(&high));
            assert!(low < high && high > low, "{N} octets, the first difference at {at}");
            assert_eq!((low.cmp(low), low.cmp(high).is_lt()), (std::cmp::Ordering::Equal, true));
            assert_eq!([*low, *high].binary_search(high), Ok(1), "{N} octets at {at}");
        }
    }
    check::<2>();
    check::<4>();
    check::<7>();
    check::<8>();
    check::<16>();
    check::<20>();
    check::<32>();
    check::<64>();
    check::<100>();
    println!("in order");
}
