// How the city's own layers are drawn: geometry kind and role decide, never the sector.
import type { LayerSpecification, StyleSpecification } from 'maplibre-gl'
import type { Layer } from '../api/types'
import type { Palette } from './palette'

// Without a `glyphs` address MapLibre draws every letter itself from the fonts of the page. The weight is read from the first name.
export const FONT = ['Pretendard Variable', 'sans-serif']
export const FONT_BOLD = ['Pretendard SemiBold', 'Pretendard Variable', 'sans-serif']

/** Empty layers that keep the order: what is added "before" one stands under it, whenever it comes. */
export const SLOTS = ['slot-city', 'slot-label', 'slot-track', 'slot-thing', 'slot-incident'] as const

export function emptyStyle(palette: Palette): StyleSpecification {
  return {
    version: 8,
    sources: {},
    layers: [
      { id: 'land', type: 'background', paint: { 'background-color': palette.land } },
      ...SLOTS.map((id): LayerSpecification => ({ id, type: 'background', layout: { visibility: 'none' } }))
    ]
  }
}

export interface DrawnLayer {
  slot: (typeof SLOTS)[number]
  spec: LayerSpecification
}

const zoom = (...stops: unknown[]): unknown => ['interpolate', ['exponential', 1.6], ['zoom'], ...stops]

/** The map layers of one layer of the city; `prefix` keeps their ids apart between two maps. */
export function drawLayer(layer: Layer, source: string, prefix: string, palette: Palette): DrawnLayer[] {
  const drawn: DrawnLayer[] = []
  const add = (slot: DrawnLayer['slot'], kind: string, spec: object): void => {
    drawn.push({ slot, spec: { id: `${prefix}${layer.id}-${kind}`, source, ...spec } as LayerSpecification })
  }
  const label = (colour: string, size: unknown, minzoom: number, extra: object = {}): void =>
    add('slot-label', 'label', {
      type: 'symbol',
      minzoom,
      layout: { 'text-field': ['coalesce', ['get', 'label'], ''], 'text-font': FONT, 'text-size': size, 'text-padding': 6, 'text-max-width': 8, ...extra },
      paint: { 'text-color': colour, 'text-halo-color': palette.halo, 'text-halo-width': 1.4 }
    })
  const pinned = (role: string, minzoom: number, labelZoom: number): void =>
    add('slot-label', 'pin', {
      type: 'symbol',
      minzoom,
      layout: {
        'icon-image': `place-${role}`,
        'icon-size': zoom(10, 0.62, 14, 1),
        'icon-allow-overlap': true,
        'text-field': ['step', ['zoom'], '', labelZoom, ['coalesce', ['get', 'label'], '']],
        'text-font': FONT,
        'text-size': 12,
        'text-anchor': 'top',
        'text-offset': [0, 0.85],
        'text-optional': true,
        'text-max-width': 9
      },
      paint: { 'text-color': palette.label, 'text-halo-color': palette.halo, 'text-halo-width': 1.4 }
    })
  const fill = (colour: string, line: string, width: unknown = 1): void => {
    add('slot-city', 'fill', { type: 'fill', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': colour } })
    add('slot-city', 'edge', { type: 'line', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'line-color': line, 'line-width': width } })
  }
  const main: unknown = ['==', ['get', 'roadClass'], 'main']

  if (layer.style === 'moving') return drawn
  if (layer.style === 'place') {
    pinned(['loading', 'unloading', 'complaint', 'farm', 'plant', 'depot'].includes(layer.role) ? layer.role : 'place', 9, 13)
    return drawn
  }
  switch (layer.role) {
    case 'boundary':
      add('slot-city', 'edge', { type: 'line', paint: { 'line-color': palette.boundary, 'line-width': 1, 'line-dasharray': [5, 3, 1, 3] } })
      break
    case 'settlement':
    case 'building':
      fill(palette.settlement, palette.settlement)
      label(palette.label, zoom(9, 11, 14, 14), 9.5, { 'text-font': FONT_BOLD })
      break
    case 'water':
      fill(palette.water, palette.waterLine)
      add('slot-city', 'line', { type: 'line', filter: ['==', ['geometry-type'], 'LineString'], layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': palette.water, 'line-width': zoom(9, 2, 14, 10, 17, 60) } })
      label(palette.waterLabel, 12, 10, { 'text-letter-spacing': 0.08 })
      break
    case 'forbidden':
      add('slot-city', 'fill', { type: 'fill', paint: { 'fill-pattern': 'hatch', 'fill-opacity': ['interpolate', ['linear'], ['zoom'], 10, 0.3, 13, 0.8] } })
      add('slot-city', 'edge', { type: 'line', paint: { 'line-color': palette.forbiddenLine, 'line-width': 1, 'line-opacity': 0.7 } })
      label(palette.forbiddenLine, 12, 13.5)
      break
    case 'permitted':
      fill(palette.permitted, palette.permittedLine, zoom(10, 0.4, 14, 1))
      label(palette.labelQuiet, 12, 14.2)
      break
    case 'road':
      add('slot-city', 'case', { type: 'line', layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': palette.roadCase, 'line-width': zoom(9, ['case', main, 1.6, 0.6], 13, ['case', main, 6, 3], 16, ['case', main, 17, 11]) } })
      add('slot-city', 'road', { type: 'line', layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': ['case', main, palette.roadMain, palette.roadLocal], 'line-width': zoom(9, ['case', main, 0.9, 0.2], 13, ['case', main, 4.4, 1.8], 16, ['case', main, 15, 9.4]) } })
      add('slot-label', 'label', { type: 'symbol', minzoom: 12.5, filter: main, layout: { 'symbol-placement': 'line', 'symbol-spacing': 500, 'text-field': ['coalesce', ['get', 'label'], ''], 'text-font': FONT, 'text-size': 12 }, paint: { 'text-color': palette.labelQuiet, 'text-halo-color': palette.roadMain, 'text-halo-width': 1.6 } })
      break
    case 'farm':
      fill(palette.farm, palette.farmLine)
      pinned('farm', 10.6, 12.6)
      break
    case 'plant':
      fill(palette.plant, palette.plantLine, 1.5)
      pinned('plant', 8, 11)
      break
    case 'depot':
      fill(palette.plant, palette.plantLine)
      pinned('depot', 10.6, 12.6)
      break
    default:
      if (layer.style === 'line') add('slot-city', 'line', { type: 'line', paint: { 'line-color': palette.otherLine, 'line-width': 1.5 } })
      else fill(palette.other, palette.otherLine)
      if (layer.label) label(palette.labelQuiet, 12, 13)
  }
  return drawn
}
