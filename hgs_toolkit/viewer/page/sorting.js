// Back to front: a radix sort of depths, in a worker so that turning the scene never waits for it.

/** Source of the worker; it is also run on the page itself where workers are not to be had. */
function makeSorter(means) {
  const BUCKETS = 65536;
  const depths = new Float32Array(means.length / 3), bits = new Uint32Array(depths.buffer);
  const keys = new Uint32Array(depths.length), starts = new Uint32Array(BUCKETS + 1);

  /** Put `from`, or 0 to count - 1 without it, into `to` by 16 bits of the keys, `shift` bits up; equal ones stay in their order. */
  function pass(from, to, count, shift) {
    starts.fill(0);
    for (let i = 0; i < count; i++) starts[((keys[i] >>> shift) & 65535) + 1]++;
    for (let b = 0; b < BUCKETS; b++) starts[b + 1] += starts[b];
    for (let i = 0; i < count; i++) {
      const at = from ? from[i] : count - 1 - i;
      to[starts[(keys[at] >>> shift) & 65535]++] = at;
    }
  }

  /** Indices (Uint32Array) by falling depth along the axis (x, y, z), of all Gaussians or of those that are given. */
  return function sort([x, y, z], some) {
    const count = some ? some.length : depths.length;
    for (let i = 0; i < count; i++) {
      const j = 3 * (some ? some[i] : i);
      depths[i] = x * means[j] + y * means[j + 1] + z * means[j + 2];
      // As whole numbers, the bits of floats rise with them where these are positive, and fall where they are not.
      keys[i] = bits[i] >>> 31 ? bits[i] : ~bits[i] & 0x7fffffff;
    }
    // Equal depths: the later Gaussian first, as the rasteriser draws the earlier one in front; the first pass begins there.
    const halfway = new Uint32Array(count), order = new Uint32Array(count);
    pass(null, halfway, count, 0);
    pass(halfway, order, count, 16);
    if (some) for (let i = 0; i < count; i++) order[i] = some[order[i]];
    return order;
  };
}

const WORKER = `${makeSorter}
let sort, ranked;
onmessage = ({ data }) => {
  if (data.means) { sort = makeSorter(data.means); return; }
  if (data.ranked) ranked = data.ranked;
  const order = sort(data.axis, ranked && data.limit < ranked.length ? ranked.subarray(0, data.limit) : null);
  postMessage(order, [order.buffer]);
};`;

/** Sorts on request; while one request is running, only the latest other one is kept. */
class Sorting {
  /** `rank` makes the list of all Gaussians by importance; it is asked for when a part of them is wanted. */
  constructor(means, rank, onOrder) {
    this.count = means.length / 3;
    this.rank = rank;
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
    if (this.last) this.request(...this.last);
  }

  /** Sort the `limit` most important Gaussians along `axis`. */
  request(axis, limit = this.count) {
    this.last = [axis, limit];
    if (this.running) { this.wanted = this.last; return; }
    const isPart = limit < this.count, isNew = isPart && !this.ranked;
    if (isNew) this.ranked = this.rank();
    if (!this.worker) { this.onOrder(this.sort(axis, isPart ? this.ranked.subarray(0, limit) : null)); return; }
    this.running = true;
    this.worker.postMessage(isNew ? { axis, limit, ranked: this.ranked } : { axis, limit });
  }

  finish(order) {
    this.running = false;
    const next = this.wanted;
    this.wanted = null;
    this.onOrder(order);
    if (next) this.request(...next);
  }

  get idle() { return !this.running; }
}
