// Gaussians drawn back to front with WebGL 2, by the rules of hgs_toolkit's rasteriser: see docs/rendering.md.

const TEXELS = 3;  // of 4 floats a Gaussian: mean and opacity; covariance xx xy xz yy; covariance yz zz and level
const LAST_BIT = 31;  // levels beyond it share its switch

// Gaussians an instance: one each would be slow on many devices, where every instance is a draw of its own.
const GROUP = 1024;

const SPLAT_VERTEX = `#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2D splats;     // ${TEXELS} texels a Gaussian
uniform highp sampler2D harmonics;  // BASES texels a Gaussian
uniform highp usampler2D order;     // Gaussians from back to front
uniform int count;
uniform mat4 view;                  // world to camera, OpenCV axes
uniform vec3 eye;
uniform vec2 focal, size;           // pixels
uniform float scale;                // factor on every Gaussian's size
uniform uint shown;                 // bit l + 1: whether level l is drawn
uniform bool solid, byLevel, antialiased;
uniform vec3 palette[PALETTE];      // of the background, then of the levels 0, 1, ...
out vec4 color;                     // RGB and opacity
out vec2 offset;                    // from the centre, in standard deviations

int index;

ivec2 place(int i, int width) { return ivec2(i % width, i / width); }

vec4 texel(sampler2D source, int i) { return texelFetch(source, place(i, textureSize(source, 0).x), 0); }

vec3 harmonic(int k) { return texel(harmonics, index * BASES + k).rgb; }

// Real harmonics in the order and signs of 3D-GS files; the constants are those of hgs_toolkit/rendering/harmonics.py.
vec3 shade(vec3 d) {
  vec3 rgb = 0.28209479177387814 * harmonic(0);
#if BASES > 1
  rgb += 0.4886025119029199 * (-d.y * harmonic(1) + d.z * harmonic(2) - d.x * harmonic(3));
#endif
#if BASES > 4
  float xx = d.x * d.x, yy = d.y * d.y, zz = d.z * d.z;
  rgb += 1.0925484305920792 * (d.x * d.y * harmonic(4) - d.y * d.z * harmonic(5) - d.x * d.z * harmonic(7))
       + 0.31539156525252005 * (2.0 * zz - xx - yy) * harmonic(6) + 0.5462742152960396 * (xx - yy) * harmonic(8);
#endif
#if BASES > 9
  rgb += -0.5900435899266435 * (d.y * (3.0 * xx - yy) * harmonic(9) + d.x * (xx - 3.0 * yy) * harmonic(15))
       + 2.890611442640554 * d.x * d.y * d.z * harmonic(10)
       - 0.4570457994644658 * (4.0 * zz - xx - yy) * (d.y * harmonic(11) + d.x * harmonic(13))
       + 0.3731763325901154 * d.z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * harmonic(12)
       + 1.445305721320277 * d.z * (xx - yy) * harmonic(14);
#endif
  return max(rgb + 0.5, 0.0);
}

void main() {
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0);  // outside: not drawn
  int slot = gl_InstanceID * ${GROUP} + gl_VertexID / 4, corner = gl_VertexID % 4;
  if (slot >= count) return;
  index = int(texelFetch(order, place(slot, textureSize(order, 0).x), 0).r);
  vec4 first = texel(splats, index * ${TEXELS}), second = texel(splats, index * ${TEXELS} + 1);
  vec4 third = texel(splats, index * ${TEXELS} + 2);
  int level = int(third.z);
  if ((shown >> uint(min(level + 1, ${LAST_BIT})) & 1u) == 0u) return;
  vec3 p = (view * vec4(first.xyz, 1.0)).xyz;
  float opacity = solid ? 1.0 : first.w;
  if (p.z < 0.01 || opacity < 1.0 / 255.0) return;

  vec2 limit = 1.3 * 0.5 * size / focal;
  vec2 t = clamp(p.xy / p.z, -limit, limit) * p.z;
  mat3 S = scale * scale * mat3(second.x, second.y, second.z, second.y, second.w, third.x, second.z, third.x, third.y);
  mat3 W = transpose(mat3(view));  // columns: the camera's axes in the world
  vec3 jx = W * vec3(focal.x / p.z, 0.0, -focal.x * t.x / (p.z * p.z));
  vec3 jy = W * vec3(0.0, focal.y / p.z, -focal.y * t.y / (p.z * p.z));
  float xx = dot(jx, S * jx), xy = dot(jx, S * jy), yy = dot(jy, S * jy), area = xx * yy - xy * xy;
  xx += 0.3, yy += 0.3;
  if (antialiased) opacity *= sqrt(max(area / (xx * yy - xy * xy), 0.0));
  if (opacity < 1.0 / 255.0) return;

  // L maps the unit disc to the ellipse of one standard deviation: L L' is the covariance (Cholesky).
  float root = sqrt(xx);
  offset = (vec2(corner & 1, corner >> 1) * 2.0 - 1.0) * sqrt(2.0 * log(255.0 * opacity));
  vec2 L2 = vec2(xy / root, sqrt(max(yy - xy * xy / xx, 0.0)));
  vec2 pixel = focal * p.xy / p.z + vec2(root * offset.x, dot(L2, offset));
  gl_Position = vec4(2.0 * pixel.x / size.x, -2.0 * pixel.y / size.y, 0.0, 1.0);
  int swatch = level < 0 ? 0 : 1 + level % (PALETTE - 1);
  color = vec4(byLevel ? palette[swatch] : shade(normalize(first.xyz - eye)), opacity);
}`;

const SPLAT_FRAGMENT = `#version 300 es
precision highp float;
in vec4 color;
in vec2 offset;
out vec4 light;
void main() {
  float alpha = min(0.999, color.a * exp(-0.5 * dot(offset, offset)));
  if (alpha < 1.0 / 255.0) discard;
  light = vec4(color.rgb * alpha, alpha);
}`;

const FINISH_VERTEX = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`;

const FINISH_FRAGMENT = `#version 300 es
precision highp float;
uniform highp sampler2D lights;
uniform vec3 background;
out vec4 color;
void main() {
  vec4 light = texelFetch(lights, ivec2(gl_FragCoord.xy), 0);
  color = vec4(light.rgb + (1.0 - light.a) * background, 1.0);
}`;

function compile(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    const logs = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader));
    throw new Error(`the graphics driver refuses the shaders: ${gl.getProgramInfoLog(program)} ${logs.join(" ")}`);
  }
  return program;
}

/** Means, opacities, covariances and levels as texels of four floats, TEXELS a Gaussian. */
function covariances(arrays, count) {
  const { means, log_scales: scales, quats, opacity_logits: logits, level } = arrays;
  const texels = new Float32Array(count * TEXELS * 4);
  for (let i = 0; i < count; i++) {
    const [w, x, y, z] = quats.subarray(4 * i, 4 * i + 4);
    const s = 2 / (w * w + x * x + y * y + z * z);
    const R = [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y),
               s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x),
               s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)];
    const variance = [0, 1, 2].map((k) => Math.exp(2 * scales[3 * i + k]));
    const entry = (a, b) => R[3 * a] * R[3 * b] * variance[0] + R[3 * a + 1] * R[3 * b + 1] * variance[1]
                          + R[3 * a + 2] * R[3 * b + 2] * variance[2];
    texels.set([means[3 * i], means[3 * i + 1], means[3 * i + 2], 1 / (1 + Math.exp(-logits[i])),
                entry(0, 0), entry(0, 1), entry(0, 2), entry(1, 1),
                entry(1, 2), entry(2, 2), level[i], 0], i * TEXELS * 4);
  }
  return texels;
}

/** Two triangles for every four vertices. */
function quads(count) {
  const indices = new Uint16Array(6 * count);
  for (let i = 0; i < count; i++) indices.set([0, 1, 2, 2, 1, 3].map((corner) => 4 * i + corner), 6 * i);
  return indices;
}

/** Coefficients (count, bases, 3) as texels of four floats. */
function coefficients(sh) {
  const texels = new Float32Array(sh.length / 3 * 4);
  for (let i = 0; 3 * i < sh.length; i++) texels.set(sh.subarray(3 * i, 3 * i + 3), 4 * i);
  return texels;
}

class SplatRenderer {
  /** Throws an Error that says what is missing where the browser or the graphics card cannot do it. */
  constructor(canvas, arrays, { count, bases, palette, antialiased }) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false });
    if (!gl) throw new Error("this browser has no WebGL 2, which the page draws with");
    this.gl = gl;
    this.count = 0;
    this.palette = new Float32Array(palette.flat());
    this.antialiased = antialiased;
    // Sums of many faint splats want more than 8 bits.
    this.format = gl.getExtension("EXT_color_buffer_float") ? gl.RGBA16F : gl.RGBA8;
    const constants = `#define BASES ${bases}\n#define PALETTE ${palette.length}\n`;
    this.splatProgram = compile(gl, SPLAT_VERTEX.replace("\n", `\n${constants}`), SPLAT_FRAGMENT);
    this.finishProgram = compile(gl, FINISH_VERTEX, FINISH_FRAGMENT);
    this.textures = [this.upload(covariances(arrays, count), count), this.upload(coefficients(arrays.sh), count)];
    this.lights = gl.createTexture();
    this.buffer = gl.createFramebuffer();
    this.order = gl.createTexture();
    this.orderSize = this.textureSize(count, count);
    this.vertices = gl.createVertexArray();
    gl.bindVertexArray(this.vertices);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, quads(GROUP), gl.STATIC_DRAW);
  }

  /** Width and height of a texture of so many texels. */
  textureSize(texels, count) {
    const largest = this.gl.getParameter(this.gl.MAX_TEXTURE_SIZE);
    const width = Math.min(4096, largest), height = Math.ceil(texels / width);
    if (height > largest) throw new Error(`${count} Gaussians are too many for this graphics card`);
    return [width, height];
  }

  upload(texels, count) {
    const gl = this.gl;
    const [width, height] = this.textureSize(texels.length / 4, count);
    const padded = new Float32Array(width * height * 4);
    padded.set(texels);
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, width, height, 0, gl.RGBA, gl.FLOAT, padded);
    this.nearest();
    return texture;
  }

  nearest() {
    const gl = this.gl;
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
  }

  /** Indices from back to front. */
  setOrder(order) {
    const gl = this.gl, width = this.orderSize[0], height = Math.max(1, Math.ceil(order.length / width));
    const padded = new Uint32Array(width * height);
    padded.set(order);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.order);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32UI, width, height, 0, gl.RED_INTEGER, gl.UNSIGNED_INT, padded);
    this.nearest();
    this.count = order.length;
  }

  resize(width, height) {
    const gl = this.gl, canvas = gl.canvas;
    if (this.sized && canvas.width === width && canvas.height === height) return;
    [canvas.width, canvas.height, this.sized] = [width, height, true];
    gl.bindTexture(gl.TEXTURE_2D, this.lights);
    const type = this.format === gl.RGBA16F ? gl.HALF_FLOAT : gl.UNSIGNED_BYTE;
    gl.texImage2D(gl.TEXTURE_2D, 0, this.format, width, height, 0, gl.RGBA, type, null);
    this.nearest();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.buffer);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.lights, 0);
  }

  /** Draw what `look` says: scale, shown (bits), solid, byLevel, background. */
  draw(camera, look, width, height) {
    const gl = this.gl;
    this.resize(width, height);
    gl.viewport(0, 0, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.buffer);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    this.drawSplats(camera, look, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.disable(gl.BLEND);
    gl.useProgram(this.finishProgram);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.lights);
    gl.uniform3fv(gl.getUniformLocation(this.finishProgram, "background"), look.background);
    gl.bindVertexArray(null);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** Wait until the picture is drawn: only then is the time that it took known. */
  finish() { this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4)); }

  drawSplats(camera, look, width, height) {
    const gl = this.gl, program = this.splatProgram;
    const at = (name) => gl.getUniformLocation(program, name);
    gl.useProgram(program);
    [["splats", this.textures[0]], ["harmonics", this.textures[1]], ["order", this.order]].forEach(([name, texture], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.uniform1i(at(name), unit);
    });
    gl.uniform1i(at("count"), this.count);
    const focal = camera.focal * Math.min(width, height);
    gl.uniformMatrix4fv(at("view"), false, camera.viewMatrix);
    gl.uniform3fv(at("eye"), camera.position);
    gl.uniform2f(at("focal"), focal, focal);
    gl.uniform2f(at("size"), width, height);
    gl.uniform1f(at("scale"), look.scale);
    gl.uniform1ui(at("shown"), look.shown);
    gl.uniform1i(at("solid"), look.solid);
    gl.uniform1i(at("byLevel"), look.byLevel);
    gl.uniform1i(at("antialiased"), this.antialiased);
    gl.uniform3fv(at("palette"), this.palette);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.vertices);
    gl.drawElementsInstanced(gl.TRIANGLES, 6 * GROUP, gl.UNSIGNED_SHORT, 0, Math.ceil(this.count / GROUP));
  }
}
