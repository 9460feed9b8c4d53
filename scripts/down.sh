# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# Taking away what run.sh made, found by compose's own labels, and nothing else. The images stay unless
# --images is given: they are what makes the next run fast. Services that a person started from the same
# compose.yaml are not ours and stay, with their network.

MADE_SERVICES=(vm toolbox)
MADE_VOLUMES=(vm-disk vm-known-hosts toolbox-cache)

take_down() {
    step "Containers" down remove_containers
    step "Networks" down-networks remove_networks
    [[ $VOLUMES = no ]] || step "Volumes" down-volumes remove_volumes
    if [[ $IMAGES = yes ]] && is_own_project; then step "Images" down-images remove_images; fi
}

removed() { if (( $1 == 0 )); then echo none; else echo "removed $1"; fi; }

remove_containers() {
    local service found=()
    for service in "${MADE_SERVICES[@]}"; do
        mapfile -t -O "${#found[@]}" found < <(docker_ ps -aq \
            --filter "label=com.docker.compose.project=$(project)" --filter "label=com.docker.compose.service=$service")
    done
    note "$(removed "${#found[@]}")"
    (( ${#found[@]} > 0 )) || return 0
    docker_ stop --time 60 "${found[@]}"         # the guest shuts down as from its power button
    docker_ rm --force "${found[@]}"
}

# A network that still has containers is someone's.
remove_networks() {
    local network removed=0
    for network in $(docker_ network ls -q --filter "label=com.docker.compose.project=$(project)"); do
        if docker_ network rm "$network"; then (( ++removed )); fi
    done
    note "$(removed "$removed")"
}

remove_volumes() {
    local volume removed=0 full
    for volume in "${MADE_VOLUMES[@]}"; do
        full=$(docker_ volume ls -q --filter "label=com.docker.compose.project=$(project)" \
            --filter "label=com.docker.compose.volume=$volume")
        [[ -n $full ]] || continue
        docker_ volume rm "$full"
        (( ++removed ))
    done
    note "$(removed "$removed")"
}

# Built by us: the four images, and base images with our label. Docker itself keeps what others are built on.
remove_images() {
    local image images removed=0
    mapfile -t images < <(for s in toolbox clock-backend frontend vm; do image_of "$s"; done
        base_images_of_project | tac | while read -r image; do made_here "$image" && echo "$image"; done || true)
    for image in "${images[@]}"; do
        if has_image "$image" && docker_ rmi "$image"; then (( ++removed )); fi
    done
    note "$(removed "$removed")"
}

made_here() { [[ -n $(docker_ image inspect --format '{{index .Config.Labels "toolbox.base"}}' "$1" 2>/dev/null) ]]; }

# is_own_project: images, .toolbox/ and our lines of .env serve the project of .env and every other one, so that
# taking down one that a test named by COMPOSE_PROJECT_NAME leaves them.
is_own_project() {
    [[ $(project) != "$(own_project)" ]] || return 0
    say "        images and $STATE stay: they serve the project $(own_project) too, this one is $(project)"
    return 1
}

forget_state() {
    is_own_project || return 0
    forget_settings
    if [[ ! -e $DEMO_KEY ]] || made_the_key; then
        rm -rf "$STATE"
        say "        $STATE and run.sh's lines of $ENV_FILE are gone"
    else
        find "$STATE" -mindepth 1 -maxdepth 1 ! -name keys -exec rm -rf {} +
        say "        $STATE/keys stays: the key in it was not made by run.sh"
    fi
}

own_project() {
    local name
    name=$(in_env_file COMPOSE_PROJECT_NAME)
    echo "${name:-clock}"
}
