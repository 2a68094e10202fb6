import { getLayer, listLayers } from '../api/city'
import type { Layer } from '../api/types'

export interface CityLayer {
  layer: Layer
  data: GeoJSON.FeatureCollection
}

/** What changes with the hour is read again; the ground is read once. */
export const CHANGING = new Set(['complaint', 'loading', 'unloading'])
/** Shown only when asked for: they would cover the map. */
export const HIDDEN_AT_FIRST = new Set(['loading', 'unloading'])

let ground: Promise<CityLayer[]> | null = null
let groundLang = ''

/** All layers of the city except what moves, lowest first, with the fonts of their names loaded. */
export function loadCityLayers(lang: string): Promise<CityLayer[]> {
  if (ground && groundLang === lang) return ground
  groundLang = lang
  ground = (async () => {
    const layers = (await listLayers()).filter((one) => !one.moving && one.style !== 'moving').sort((a, b) => a.order - b.order)
    const loaded = await Promise.all(layers.map(async (layer) => ({ layer, data: await getLayer(layer.id) })))
    await loadFont(loaded.flatMap((one) => one.data.features.map((feature) => String(feature.properties?.label ?? ''))).join(''))
    return loaded
  })()
  ground.catch(() => (ground = null))
  return ground
}

/** Names on the map are drawn letter by letter: the part of the font that has a letter must be there before it is drawn. */
export async function loadFont(text: string): Promise<void> {
  const letters = [...new Set(`${text} 0123456789·,./-`)].join('')
  await Promise.all([400, 600].map((weight) => document.fonts.load(`${weight} 24px "Pretendard Variable"`, letters))).catch(() => undefined)
}
