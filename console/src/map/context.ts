import type { LayerSpecification, Map as MapLibre, SourceSpecification } from 'maplibre-gl'
import { getContext, setContext } from 'svelte'

export interface MapHandle {
  readonly map: MapLibre
}

const KEY = Symbol('map')
let count = 0

export const provideMap = (handle: MapHandle): MapHandle => setContext(KEY, handle)

/** The map that this component stands in, and a prefix that keeps its ids apart. */
export function useMap(name: string): { map: MapLibre; prefix: string } {
  return { map: getContext<MapHandle>(KEY).map, prefix: `${name}-${++count}-` }
}

/** Adds a source and its layers; the returned call removes both. */
export function addLayers(map: MapLibre, source: string, spec: SourceSpecification, layers: { spec: LayerSpecification; slot: string }[]): () => void {
  map.addSource(source, spec)
  for (const layer of layers) map.addLayer(layer.spec, layer.slot)
  return () => {
    // The map may be gone before its layers.
    if (!map.style) return
    for (const layer of layers) if (map.getLayer(layer.spec.id)) map.removeLayer(layer.spec.id)
    if (map.getSource(source)) map.removeSource(source)
  }
}

/** Paints layers that exist already in the colours of another theme. */
export function repaint(map: MapLibre, layers: { spec: LayerSpecification }[]): void {
  for (const { spec } of layers) {
    if (!map.getLayer(spec.id)) continue
    for (const [key, value] of Object.entries(spec.paint ?? {})) map.setPaintProperty(spec.id, key as never, value as never)
  }
}
