// The page itself: controls, what is drawn when, and `window.hgs`, by which other scripts steer it.

const TURN_SPEED = 0.5;  // radians a second
const MAX_PIXEL_RATIO = 2;

const element = (id) => document.getElementById(id);
const hex = (rgb) => "#" + rgb.map((value) => Math.round(255 * value).toString(16).padStart(2, "0")).join("");
const rgbOf = (text) => [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16) / 255);
const bitOf = (level) => (1 << Math.min(level + 1, LAST_BIT)) >>> 0;

function say(text) {
  element("message").textContent = text;
}

class Page {
  constructor(facts, arrays) {
    this.facts = facts;
    this.canvas = element("picture");
    this.camera = new OrbitCamera(facts.view);
    this.look = { scale: 1, shown: 0xffffffff, solid: false, byLevel: false, background: facts.view.background };
    this.renderer = new SplatRenderer(this.canvas, arrays, facts);
    this.detail = new Detail(facts.count);
    const rank = () => byImportance(arrays);
    this.sorting = new Sorting(arrays.means, rank, (order) => { this.renderer.setOrder(order); this.drawSoon(); });
    this.waiting = [];
    this.stale = false;
    steer(this.canvas, this.camera, () => this.moved());
    new ResizeObserver(() => this.changed()).observe(this.canvas);
    this.canvas.addEventListener("webglcontextlost", () => say("the graphics card was taken away; reload the page"));
    this.connectControls();
    this.changed();
  }

  /** Something about the picture changed: sort if the view turned or gets another detail, and draw soon. */
  changed() {
    const wanted = [...this.camera.axes[2], this.detail.limit];
    if (!this.sortedFor || wanted.some((value, k) => value !== this.sortedFor[k])) {
      this.sortedFor = wanted;
      this.sorting.request(wanted.slice(0, 3), wanted[3]);
    }
    this.drawSoon();
  }

  /** The view moved by hand or turns: fewer Gaussians where the device is slow, all of them when it rests. */
  moved() {
    if (this.detail.matters) this.detail.move(() => this.changed());
    this.changed();
  }

  drawSoon() {
    if (this.stale) return;
    this.stale = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.stale = false;
    // On a slow device the whole scene must not be drawn once more before the smaller part is sorted.
    if (this.detail.moving && !this.sorting.idle && this.renderer.count > 2 * this.detail.limit) return;
    const began = performance.now();
    const ratio = Math.min(window.devicePixelRatio || 1, MAX_PIXEL_RATIO);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((n) => Math.max(1, Math.round(n * ratio)));
    this.renderer.draw(this.camera, this.look, width, height);
    if (this.detail.matters && this.renderer.count) {
      this.renderer.finish();
      this.detail.measured(this.renderer.count, performance.now() - began);
    }
    if (this.sorting.idle) for (const done of this.waiting.splice(0)) done();
  }

  /** Resolves once the picture shows the present camera and look, sorted. */
  settled() {
    this.detail.stop();
    this.changed();
    return new Promise((resolve) => { this.waiting.push(resolve); this.drawSoon(); });
  }

  /** The picture as a data URL of a PNG. */
  async snapshot() {
    await this.settled();
    this.draw();  // the browser clears the canvas between frames
    return this.canvas.toDataURL("image/png");
  }

  connectControls() {
    const update = (name, value) => { this.look[name] = value; this.changed(); };
    for (const { level, name, count, color } of this.facts.levels) this.addLevel(level, name, count, color);
    element("scale").addEventListener("input", ({ target }) => {
      const scale = 2 ** Number(target.value);
      element("scale-text").textContent = scale.toFixed(2);
      update("scale", scale);
    });
    element("solid").addEventListener("change", ({ target }) => update("solid", target.checked));
    element("by-level").addEventListener("change", ({ target }) => update("byLevel", target.checked));
    element("background").value = hex(this.look.background);
    element("background").addEventListener("input", ({ target }) => update("background", rgbOf(target.value)));
    element("reset").addEventListener("click", () => { this.camera.reset(); this.changed(); });
    element("save").addEventListener("click", () => this.savePicture());
    element("turning").addEventListener("change", () => this.turn(performance.now()));
  }

  addLevel(level, name, count, color) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true, id: `level${level}` });
    const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
    swatch.style.background = hex(color);
    const number = Object.assign(document.createElement("span"), { className: "count", textContent: count });
    const label = document.createElement("label");
    label.append(box, swatch, name, number);
    element("levels").append(label);
    box.addEventListener("change", () => {
      const bit = bitOf(level);
      this.look.shown = (box.checked ? this.look.shown | bit : this.look.shown & ~bit) >>> 0;
      this.changed();
    });
  }

  turn(last) {
    if (!element("turning").checked) return;
    requestAnimationFrame((now) => {
      this.camera.set({ yaw: this.camera.yaw + TURN_SPEED * Math.min(now - last, 100) / 1000 });
      this.moved();
      this.turn(now);
    });
  }

  async savePicture() {
    const link = Object.assign(document.createElement("a"), { href: await this.snapshot(), download: `${this.facts.title.replace(/\.[^.]*$/, "").replace(/[^\w.-]+/g, "_") || "gaussians"}.png` });
    link.click();
  }
}

async function open() {
  const facts = JSON.parse(element("facts").textContent);
  if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old: it has no DecompressionStream");
  const arrays = await unpackScene(facts, decodeBase64(element("block").textContent));
  element("block").remove();
  const page = new Page(facts, arrays);
  await page.settled();
  say(`${facts.count.toLocaleString("en")} Gaussians`);
  return page;
}

window.hgs = open();
window.hgs.catch((error) => say(error.message));
