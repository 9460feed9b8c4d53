# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# Our own images, built by compose from compose.yaml. The engine's cache decides what is built again, so a
# second run costs seconds and is never wrong; an image whose id stays the same is reported as unchanged.

# build_image SERVICE
build_image() {
    local image before after
    image=$(image_of "$1")
    before=$(image_id "$image")
    compose build "$1"
    after=$(image_id "$image")
    [[ -n $after ]] || fail 1 "compose built $1, but the image $image is not there" "${COMPOSE[*]} build $1"
    if [[ $before = "$after" ]]; then
        note "unchanged"
    else
        note "$(image_size "$image")"
        changed "built $image"
    fi
}

# image_of SERVICE: its `image:` in compose.yaml, where the services stand two blanks in.
image_of() {
    awk -v service="$1" '
        /^  [a-z]/ { inside = ($1 == service ":") }
        inside && $1 == "image:" { print $2; exit }' compose.yaml
}

image_id()   { docker_ image inspect --format '{{.Id}}' "$1" 2>/dev/null || true; }
image_size() { docker_ image inspect --format '{{.Size}}' "$1" | awk '{ printf "%.1f MB", $1 / 1e6 }'; }

build_images() {
    # Attestations hold times: with them an unchanged build would be another image.
    export BUILDX_NO_DEFAULT_ATTESTATIONS=1
    local service services=(toolbox clock-backend frontend)
    [[ -n $HOST ]] || services+=(vm)
    for service in "${services[@]}"; do
        step "Image $(image_of "$service")" "build-$service" build_image "$service"
    done
}
