// Back to front: a counting sort of depths, in a worker so that turning the scene never waits for it.

/** Source of the worker; it is also run on the page itself where workers are not to be had. */
function makeSorter(means) {
  const BUCKETS = 65536;
  const count = means.length / 3;
  const depths = new Float32Array(count);
  const starts = new Uint32Array(BUCKETS + 1);

  /** Indices (Uint32Array) by falling depth along the axis (x, y, z). */
  return function sort([x, y, z]) {
    let low = Infinity, high = -Infinity;
    for (let i = 0, j = 0; i < count; i++, j += 3) {
      depths[i] = x * means[j] + y * means[j + 1] + z * means[j + 2];
      const depth = depths[i];  // rounded to 32 bits, as it is read again below
      if (depth < low) low = depth;
      if (depth > high) high = depth;
    }
    const factor = high > low ? (BUCKETS - 1) / (high - low) : 0;
    const bucket = (i) => Math.floor((high - depths[i]) * factor);
    starts.fill(0);
    for (let i = 0; i < count; i++) starts[bucket(i) + 1]++;
    for (let b = 0; b < BUCKETS; b++) starts[b + 1] += starts[b];
    const order = new Uint32Array(count);
    // Equal depths: the later Gaussian first, as the rasteriser draws the earlier one in front.
    for (let i = count - 1; i >= 0; i--) order[starts[bucket(i)]++] = i;
    return order;
  };
}

const WORKER = `${makeSorter}
let sort;
onmessage = ({ data }) => {
  if (data.means) { sort = makeSorter(data.means); return; }
  const order = sort(data.axis);
  postMessage(order, [order.buffer]);
};`;

/** Sorts on request; while one request is running, only the latest other one is kept. */
class Sorting {
  constructor(means, onOrder) {
    this.onOrder = onOrder;
    this.running = false;
    this.wanted = null;
    try {
      this.worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" })));
      this.worker.onmessage = ({ data }) => this.finish(data);
      this.worker.onerror = () => this.withoutWorker(means);
      this.worker.postMessage({ means });
    } catch {
      this.withoutWorker(means);
    }
  }

  withoutWorker(means) {
    this.worker = null;
    this.sort = makeSorter(means);
    this.running = false;
    if (this.last) this.request(this.last);
  }

  request(axis) {
    this.last = axis;
    if (this.running) { this.wanted = axis; return; }
    if (!this.worker) { this.onOrder(this.sort(axis)); return; }
    this.running = true;
    this.worker.postMessage({ axis });
  }

  finish(order) {
    this.running = false;
    const next = this.wanted;
    this.wanted = null;
    this.onOrder(order);
    if (next) this.request(next);
  }

  get idle() { return !this.running; }
}
