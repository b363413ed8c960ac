// How many Gaussians a picture gets: all of them while the view rests, what the device draws in time while it moves.

const FRAME = 50;  // milliseconds that a picture may take while the view moves
const FEWEST = 20000;  // Gaussians that are drawn in any case
const REST = 250;  // milliseconds without a movement after which the view rests

class Detail {
  constructor(count) {
    Object.assign(this, { count, moving: false, budget: count, fewest: FEWEST, rest: REST });
  }

  /** Number of Gaussians to draw now. */
  get limit() { return this.moving ? Math.min(this.budget, this.count) : this.count; }

  /** Whether pictures have to be timed: small scenes are always drawn whole. */
  get matters() { return this.count > this.fewest; }

  /** A picture of so many Gaussians took so many milliseconds. */
  measured(drawn, took) {
    const fits = drawn * FRAME / Math.max(took, 1);
    // Half of the way each time, since a picture's time wanders.
    const budget = this.timed ? (this.budget + fits) / 2 : fits;
    this.timed = true;
    this.budget = Math.round(Math.min(Math.max(budget, this.fewest), this.count));
  }

  /** The view moved; `onRest` is called when it has not moved again for a while. */
  move(onRest) {
    this.moving = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.stop(); onRest(); }, this.rest);
  }

  stop() {
    clearTimeout(this.timer);
    this.moving = false;
  }
}

/** Gaussians (Uint32Array) by importance: coarse levels first, of a level the large and opaque ones. */
function byImportance({ log_scales: scales, opacity_logits: logits, level }) {
  const STEPS = 4096, RANGE = 32;  // of the natural logarithm of opacity times area, from the largest down
  const count = level.length, keys = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const [a, b, c] = [scales[3 * i], scales[3 * i + 1], scales[3 * i + 2]];
    const weight = a + b + c - Math.min(a, b, c) - Math.log1p(Math.exp(-logits[i]));
    const step = Math.min(Math.max(Math.round((RANGE / 2 - weight) / RANGE * STEPS), 0), STEPS - 1);
    keys[i] = ((level[i] + 1) * STEPS + step) * 2 ** 31 + i;
  }
  return Uint32Array.from(keys.sort(), (key) => key % 2 ** 31);
}
