// Everything that moves, drawn as points from one buffer: MapLibre's own layers manage 5 frames a second for 50,000, this one 20 in software GL.
import type { CustomLayerInterface, CustomRenderMethodInput, Map as MapLibre } from 'maplibre-gl'
import type { Palette } from './palette'

/** Floats a point: x, y (Mercator, from the origin), heading in radians (< 0: stands), look. */
export const STRIDE = 4
/** `look`: 0 ok, 1 stale, 2–5 low to critical; + 8 when chosen. */
export const CHOSEN = 8

const VERTEX = `#version 300 es
precision highp float;
in vec2 a_at;
in float a_heading;
in float a_look;
uniform mat4 u_matrix;
uniform float u_size;
out float v_heading;
flat out int v_look;
out float v_size;
void main() {
  gl_Position = u_matrix * vec4(a_at, 0.0, 1.0);
  int look = int(a_look + 0.5);
  v_look = look;
  v_heading = a_heading;
  // A chosen thing and one with an incident are larger; twice the radius leaves room for wedge and outline.
  v_size = u_size * (look >= 8 ? 1.35 : look >= 2 ? 1.15 : 1.0);
  gl_PointSize = v_size * 2.6;
}`

const FRAGMENT = `#version 300 es
precision highp float;
in float v_heading;
flat in int v_look;
in float v_size;
uniform vec3 u_colours[6];
uniform vec3 u_edge;
uniform vec3 u_ring;
out vec4 colour;

// Distance to a rounded arrow head that points up: a disc with a wedge.
float wedge(vec2 p) {
  vec2 q = vec2(abs(p.x), p.y);
  float d = dot(q - vec2(0.0, 1.9), normalize(vec2(0.86, 0.5)));
  return max(d, 0.3 - q.y);
}

void main() {
  vec2 p = (gl_PointCoord * 2.0 - 1.0) * 2.6 / 1.0;
  p.y = -p.y;
  int base = v_look >= 8 ? v_look - 8 : v_look;
  float s = sin(v_heading), c = cos(v_heading);
  vec2 r = vec2(p.x * c - p.y * s, p.x * s + p.y * c);
  float disc = length(p) - 0.82;
  float shape = disc;
  if (v_heading >= 0.0) shape = min(disc, wedge(r));
  float px = 2.6 / v_size;
  float inside = 1.0 - smoothstep(-px, px, shape);
  float edge = 1.0 - smoothstep(-px, px, shape - 0.26);
  vec3 fill = u_colours[base == 1 ? 1 : 0];
  // What has gone silent is hollow: it was here, we do not know where it is.
  if (base == 1) fill = mix(u_colours[1], u_edge, 1.0 - smoothstep(-px, px, shape + 0.32));
  vec3 body = mix(u_edge, fill, inside);
  float alpha = edge;
  // An open incident rings the thing in its status colour; the marker of the incident itself carries shape and word.
  if (base >= 2) {
    float at = length(p) - 1.36;
    float on = 1.0 - smoothstep(-px, px, abs(at) - 0.2);
    body = mix(body, u_colours[base], on);
    alpha = max(alpha, on);
    body = mix(body, u_edge, (1.0 - on) * (1.0 - edge) * (1.0 - smoothstep(-px, px, at)));
    alpha = max(alpha, 1.0 - smoothstep(-px, px, at));
  }
  if (v_look >= 8) {
    float ring = abs(length(p) - 1.95) - 0.2;
    float on = 1.0 - smoothstep(-px, px, ring);
    body = mix(body, u_ring, on * (1.0 - edge));
    alpha = max(alpha, on);
  }
  if (alpha < 0.01) discard;
  colour = vec4(body * alpha, alpha);
}`

function rgb(hex: string): [number, number, number] {
  const n = parseInt(hex.slice(1), 16)
  return [(n >> 16) / 255, ((n >> 8) & 255) / 255, (n & 255) / 255]
}

export class FleetLayer implements CustomLayerInterface {
  readonly type = 'custom' as const
  readonly renderingMode = '2d' as const
  readonly id: string
  #map: MapLibre | null = null
  #program: WebGLProgram | null = null
  #buffer: WebGLBuffer | null = null
  #array: WebGLVertexArrayObject | null = null
  #points: Float32Array = new Float32Array(0)
  #origin: [number, number] = [0, 0]
  #dirty = true
  #palette: Palette

  constructor(id: string, palette: Palette) {
    this.id = id
    this.#palette = palette
  }

  /** New points around `origin` (Mercator). Floats hold 2 mm within a city; from 0 to 1 they would hold 2 m. */
  set(points: Float32Array, origin: [number, number]): void {
    this.#points = points
    this.#origin = origin
    this.#dirty = true
    this.#map?.triggerRepaint()
  }

  paint(palette: Palette): void {
    this.#palette = palette
    this.#map?.triggerRepaint()
  }

  onAdd(map: MapLibre, gl: WebGL2RenderingContext): void {
    this.#map = map
    const shader = (kind: number, text: string): WebGLShader => {
      const one = gl.createShader(kind)!
      gl.shaderSource(one, text)
      gl.compileShader(one)
      if (!gl.getShaderParameter(one, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(one) ?? 'shader')
      return one
    }
    const program = gl.createProgram()!
    gl.attachShader(program, shader(gl.VERTEX_SHADER, VERTEX))
    gl.attachShader(program, shader(gl.FRAGMENT_SHADER, FRAGMENT))
    gl.linkProgram(program)
    this.#program = program
    this.#buffer = gl.createBuffer()
    this.#array = gl.createVertexArray()
    gl.bindVertexArray(this.#array)
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffer)
    for (const [name, size, offset] of [['a_at', 2, 0], ['a_heading', 1, 2], ['a_look', 1, 3]] as const) {
      const place = gl.getAttribLocation(program, name)
      gl.enableVertexAttribArray(place)
      gl.vertexAttribPointer(place, size, gl.FLOAT, false, STRIDE * 4, offset * 4)
    }
    gl.bindVertexArray(null)
    this.#dirty = true
  }

  onRemove(_map: MapLibre, gl: WebGL2RenderingContext): void {
    gl.deleteProgram(this.#program)
    gl.deleteBuffer(this.#buffer)
    gl.deleteVertexArray(this.#array)
    this.#map = null
  }

  render(gl: WebGL2RenderingContext, input: CustomRenderMethodInput): void {
    const count = this.#points.length / STRIDE
    if (!this.#program || !this.#map || !count) return
    gl.useProgram(this.#program)
    gl.bindVertexArray(this.#array)
    if (this.#dirty) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffer)
      gl.bufferData(gl.ARRAY_BUFFER, this.#points, gl.DYNAMIC_DRAW)
      this.#dirty = false
    }
    // The origin is moved in double precision here, before the matrix becomes floats.
    const m = Float64Array.from(input.defaultProjectionData.mainMatrix as ArrayLike<number>)
    const [x, y] = this.#origin
    for (let row = 0; row < 4; row++) m[12 + row] = m[row]! * x + m[4 + row]! * y + m[12 + row]!
    const at = (name: string) => gl.getUniformLocation(this.#program!, name)
    const p = this.#palette
    gl.uniformMatrix4fv(at('u_matrix'), false, new Float32Array(m))
    const zoom = this.#map.getZoom()
    const crowd = count > 5000 ? 0.6 : 1
    gl.uniform1f(at('u_size'), Math.max(5, Math.min(13, (zoom - 7) * 2)) * crowd * (window.devicePixelRatio || 1) * 1.25)
    gl.uniform3fv(at('u_colours'), [p.thing, p.stale, p.status.low, p.status.medium, p.status.high, p.status.critical].flatMap(rgb))
    gl.uniform3fv(at('u_edge'), rgb(p.thingEdge))
    gl.uniform3fv(at('u_ring'), rgb(p.accent))
    gl.enable(gl.BLEND)
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
    gl.disable(gl.DEPTH_TEST)
    gl.disable(gl.STENCIL_TEST)
    gl.drawArrays(gl.POINTS, 0, count)
    gl.bindVertexArray(null)
  }
}
