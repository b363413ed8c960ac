// A camera on a sphere around a point, OpenCV axes (x right, y down, z forward), world y up: as hgs_toolkit.cameras.

const MAX_PITCH = 1.55;

class OrbitCamera {
  constructor({ center, radius, focal, yaw = 0, pitch = 0 }) {
    this.home = { center: [...center], radius, yaw, pitch };
    this.focal = focal;
    this.reset();
  }

  reset() { this.set(this.home); }

  set({ center = this.center, radius = this.radius, yaw = this.yaw, pitch = this.pitch }) {
    this.center = [...center];
    this.radius = Math.min(Math.max(radius, this.home.radius * 0.02), this.home.radius * 50);
    this.yaw = yaw;
    this.pitch = Math.min(Math.max(pitch, -MAX_PITCH), MAX_PITCH);
  }

  /** Rows right, down and forward of the rotation from world to camera. */
  get axes() {
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    return [[cy, 0, -sy], [sy * sp, -cp, cy * sp], [-sy * cp, -sp, -cy * cp]];
  }

  get position() {
    const forward = this.axes[2];
    return this.center.map((value, k) => value - this.radius * forward[k]);
  }

  /** World to camera, 16 numbers, column by column. */
  get viewMatrix() {
    const axes = this.axes, eye = this.position;
    const shift = axes.map((axis) => -axis.reduce((sum, value, k) => sum + value * eye[k], 0));
    const matrix = new Float32Array(16);
    for (let row = 0; row < 3; row++) {
      for (let column = 0; column < 3; column++) matrix[4 * column + row] = axes[row][column];
      matrix[12 + row] = shift[row];
    }
    matrix[15] = 1;
    return matrix;
  }

  turn(right, down) { this.set({ yaw: this.yaw - right, pitch: this.pitch + down }); }

  zoom(factor) { this.set({ radius: this.radius * factor }); }

  /** Move so that the point looked at follows the pointer by shares of the picture's size. */
  move(right, down) {
    const [x, y] = this.axes;
    const span = this.radius / this.focal;
    this.set({ center: this.center.map((value, k) => value - span * (right * x[k] + down * y[k])) });
  }
}

/** Turn, move and zoom by mouse, touch, wheel and keys; calls onChange after each. */
function steer(canvas, camera, onChange) {
  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const size = Math.min(canvas.clientWidth, canvas.clientHeight);
    const right = (event.clientX - last.x) / size, down = (event.clientY - last.y) / size;
    const before = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size === 2) {
      camera.move(right / 2, down / 2);
      camera.zoom(before / Math.max(spread(), 1));
    } else if (event.shiftKey || event.buttons & 6) {
      camera.move(right, down);
    } else {
      camera.turn(right * Math.PI, down * Math.PI);
    }
    onChange();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    camera.zoom(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) * 0.002));
    onChange();
  }, { passive: false });
  const STEP = 0.1;
  const keys = {
    ArrowLeft: () => camera.turn(STEP, 0), ArrowRight: () => camera.turn(-STEP, 0),
    ArrowUp: () => camera.turn(0, STEP), ArrowDown: () => camera.turn(0, -STEP),
    "+": () => camera.zoom(0.9), "-": () => camera.zoom(1 / 0.9), r: () => camera.reset(),
  };
  canvas.addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
    onChange();
  });
}
