// Small pictures for the map, drawn here: status shapes, places, the hatch of what is forbidden. No file is loaded.
import type { Status } from '../lib/status'
import type { Palette } from './palette'

const SCALE = 2

function picture(size: number, draw: (pen: CanvasRenderingContext2D) => void): ImageData {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = size * SCALE
  const pen = canvas.getContext('2d')!
  pen.scale(SCALE, SCALE)
  draw(pen)
  return pen.getImageData(0, 0, size * SCALE, size * SCALE)
}

/** Outline of a status shape around (x, y): ◆ ▲ ● ○ ✓. */
function shape(pen: CanvasRenderingContext2D, status: Status, x: number, y: number, r: number): void {
  pen.beginPath()
  if (status === 'critical') {
    pen.moveTo(x, y - r * 1.12)
    pen.lineTo(x + r * 1.12, y)
    pen.lineTo(x, y + r * 1.12)
    pen.lineTo(x - r * 1.12, y)
    pen.closePath()
  } else if (status === 'high') {
    pen.moveTo(x, y - r * 1.1)
    pen.lineTo(x + r * 1.1, y + r * 0.85)
    pen.lineTo(x - r * 1.1, y + r * 0.85)
    pen.closePath()
  } else pen.arc(x, y, r * 0.95, 0, Math.PI * 2)
}

/** An incident on the map; `many` leaves room for a number inside. */
export function statusIcon(status: Status, palette: Palette, many: boolean): ImageData {
  const size = many ? 40 : 28
  const middle = size / 2
  const r = many ? 14 : 8.5
  return picture(size, (pen) => {
    pen.lineJoin = 'round'
    shape(pen, status, middle, middle, r)
    pen.lineWidth = 5
    pen.strokeStyle = palette.surface
    pen.stroke()
    pen.fillStyle = status === 'low' || status === 'resolved' ? palette.surface : palette.status[status]
    pen.fill()
    pen.lineWidth = 2
    pen.strokeStyle = palette.status[status]
    pen.stroke()
    if (status === 'resolved' && !many) {
      pen.beginPath()
      pen.moveTo(middle - 3.6, middle + 0.2)
      pen.lineTo(middle - 1, middle + 2.8)
      pen.lineTo(middle + 3.8, middle - 2.8)
      pen.stroke()
    }
  })
}

/** Diagonal lines that join at the edges of the tile. */
export function hatch(colour: string): ImageData {
  return picture(8, (pen) => {
    pen.strokeStyle = colour
    pen.globalAlpha = 0.75
    pen.lineWidth = 1
    pen.beginPath()
    for (const shift of [-8, 0, 8]) {
      pen.moveTo(shift, 8)
      pen.lineTo(shift + 8, 0)
    }
    pen.stroke()
  })
}

/** A registered place: house, tank, garage, or what happened there: arrow up or down, nose. */
export function placeIcon(role: string, palette: Palette): ImageData {
  return picture(18, (pen) => {
    pen.lineJoin = 'round'
    pen.lineCap = 'round'
    const ink = role === 'farm' ? palette.farmLine : palette.plantLine
    pen.fillStyle = palette.surface
    pen.strokeStyle = ink
    pen.lineWidth = 1.25
    pen.beginPath()
    pen.roundRect(1.5, 1.5, 15, 15, 3)
    pen.fill()
    pen.stroke()
    pen.lineWidth = 1.5
    pen.strokeStyle = role === 'farm' ? palette.farmLine : palette.label
    pen.beginPath()
    if (role === 'farm') {
      pen.moveTo(4.5, 9)
      pen.lineTo(9, 5)
      pen.lineTo(13.5, 9)
      pen.moveTo(5.8, 8.5)
      pen.lineTo(5.8, 13)
      pen.lineTo(12.2, 13)
      pen.lineTo(12.2, 8.5)
    } else if (role === 'plant') {
      pen.rect(4.8, 7.5, 4, 5.5)
      pen.rect(8.8, 5, 4.4, 8)
    } else if (role === 'depot') {
      pen.moveTo(7, 13)
      pen.lineTo(7, 5)
      pen.lineTo(9.6, 5)
      pen.arc(9.6, 7.3, 2.3, -Math.PI / 2, Math.PI / 2)
      pen.lineTo(7, 9.6)
    } else if (role === 'loading' || role === 'unloading') {
      const up = role === 'loading' ? -1 : 1
      pen.moveTo(9, 9 - 4 * up)
      pen.lineTo(9, 9 + 4 * up)
      pen.moveTo(6, 9 + 1 * up)
      pen.lineTo(9, 9 + 4 * up)
      pen.lineTo(12, 9 + 1 * up)
    } else if (role === 'complaint') {
      for (const y of [6, 9, 12]) {
        pen.moveTo(5, y)
        pen.bezierCurveTo(7, y - 2.4, 8.5, y + 2.4, 13, y - 0.6)
      }
    } else pen.arc(9, 9, 2.4, 0, Math.PI * 2)
    pen.stroke()
  })
}

/** Names of the pictures that depend on the theme, with how to draw them. */
export function pictures(palette: Palette): [string, ImageData][] {
  const statuses: Status[] = ['critical', 'high', 'medium', 'low', 'resolved']
  return [
    ...statuses.map((one): [string, ImageData] => [`status-${one}`, statusIcon(one, palette, false)]),
    ...statuses.map((one): [string, ImageData] => [`cluster-${one}`, statusIcon(one, palette, true)]),
    ...['farm', 'plant', 'depot', 'loading', 'unloading', 'complaint', 'place'].map((one): [string, ImageData] => [`place-${one}`, placeIcon(one, palette)]),
    ['hatch', hatch(palette.forbidden)]
  ]
}
