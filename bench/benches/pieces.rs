//! Times the hot pieces of work: `cargo bench --package ironcast-bench`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ironcast_bench::work::PIECES;

fn pieces(criterion: &mut Criterion) {
    for piece in PIECES {
        let mut group = criterion.benchmark_group("pieces");
        group.throughput(Throughput::Bytes(piece.bytes));
        let mut turn = (piece.make)();
        group.bench_function(piece.name, |bencher| bencher.iter(&mut turn));
        group.finish();
    }
}

criterion_group!(benches, pieces);
criterion_main!(benches);
