/*
 * A libnvidia-ml.so.1 without a GPU: what it says stands in the file that $FAKE_NVML names, a line
 * for each GPU: UUID, minor number, energy in mJ, power in mW (-1: not supported), and for MIG the
 * multiprocessors of the whole and of each instance, as "98:42,14", or "-". Built by tests.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, NOT_LOADED = 9, LOST = 15 };
enum { MOST_GPUS = 16, MOST_PARTS = 7, SEVEN_SLICES = 4 };

typedef struct {
    char uuid[80];
    unsigned minor;
    long long energy_mj, power_mw;
    unsigned whole, n_parts, parts[MOST_PARTS];
} Gpu;

typedef struct {
    unsigned multiprocessors, engines[5], slices[2];
    unsigned long long memory_mb;
} Attributes;

typedef struct {
    unsigned id, is_p2p, slices, instances, multiprocessors, engines[5];
    unsigned long long memory_mb;
} Profile;

/* A handle says which GPU, and which part of it; 0 is no handle. */
static void *handle(unsigned gpu, unsigned part) { return (void *)(size_t)(1 + gpu * 8 + part); }
static unsigned gpu_of(void *device) { return ((unsigned)(size_t)device - 1) / 8; }
static unsigned part_of(void *device) { return ((unsigned)(size_t)device - 1) % 8; }

static int read_gpus(Gpu *gpus, unsigned *n_gpus)
{
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char mig[80];

    *n_gpus = 0;
    if (!file)
        return NOT_LOADED;
    while (*n_gpus < MOST_GPUS) {
        Gpu *gpu = &gpus[*n_gpus];
        memset(gpu, 0, sizeof *gpu);
        if (fscanf(file, "%79s %u %lld %lld %79s", gpu->uuid, &gpu->minor, &gpu->energy_mj,
                   &gpu->power_mw, mig) != 5)
            break;
        char *parts = strchr(mig, ':');
        if (parts) {
            gpu->whole = (unsigned)atoi(mig);
            for (char *one = strtok(parts + 1, ","); one; one = strtok(NULL, ","))
                gpu->parts[gpu->n_parts++] = (unsigned)atoi(one);
        }
        ++*n_gpus;
    }
    fclose(file);
    return SUCCESS;
}

static int find(void *device, Gpu *found)
{
    Gpu gpus[MOST_GPUS];
    unsigned n_gpus;
    int error = read_gpus(gpus, &n_gpus);

    if (error)
        return error;
    if (gpu_of(device) >= n_gpus)
        return LOST;
    *found = gpus[gpu_of(device)];
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned flags)
{
    Gpu gpus[MOST_GPUS];
    unsigned n_gpus;
    (void)flags;
    return read_gpus(gpus, &n_gpus);
}

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int error) { return error == NOT_LOADED ? "Driver Not Loaded" : "Other"; }

int nvmlDeviceGetCount_v2(unsigned *n_gpus)
{
    Gpu gpus[MOST_GPUS];
    return read_gpus(gpus, n_gpus);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = handle(index, 0);
    return SUCCESS;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned n_bytes)
{
    Gpu gpu;
    int error = find(device, &gpu);
    if (error)
        return error;
    if (part_of(device))
        snprintf(uuid, n_bytes, "MIG-%s-%u", gpu.uuid, part_of(device));
    else
        snprintf(uuid, n_bytes, "%s", gpu.uuid);
    return SUCCESS;
}

int nvmlDeviceGetMinorNumber(void *device, unsigned *minor)
{
    Gpu gpu;
    int error = find(device, &gpu);
    *minor = gpu.minor;
    return error;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy_mj)
{
    Gpu gpu;
    int error = find(device, &gpu);
    if (error)
        return error;
    if (gpu.energy_mj < 0 || part_of(device))
        return NOT_SUPPORTED;
    *energy_mj = (unsigned long long)gpu.energy_mj;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *power_mw)
{
    Gpu gpu;
    int error = find(device, &gpu);
    if (error)
        return error;
    if (gpu.power_mw < 0)
        return NOT_SUPPORTED;
    *power_mw = (unsigned)gpu.power_mw;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *then)
{
    Gpu gpu;
    int error = find(device, &gpu);
    if (error)
        return error;
    if (!gpu.whole)
        return NOT_SUPPORTED;
    *now = *then = 1;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *most)
{
    (void)device;
    *most = MOST_PARTS;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **part)
{
    Gpu gpu;
    int error = find(device, &gpu);
    if (error)
        return error;
    if (index >= gpu.n_parts)
        return NOT_FOUND;
    *part = handle(gpu_of(device), index + 1);
    return SUCCESS;
}

int nvmlDeviceGetGpuInstanceProfileInfo(void *device, unsigned profile, Profile *info)
{
    Gpu gpu;
    int error = find(device, &gpu);
    if (error)
        return error;
    if (profile != SEVEN_SLICES)
        return NOT_SUPPORTED;
    memset(info, 0, sizeof *info);
    info->slices = 7;
    info->multiprocessors = gpu.whole;
    return SUCCESS;
}

/* As NVIDIA's, it says nothing of a GPU as a whole. */
int nvmlDeviceGetAttributes_v2(void *device, Attributes *attributes)
{
    Gpu gpu;
    int error = find(device, &gpu);
    if (error)
        return error;
    if (!part_of(device))
        return NOT_SUPPORTED;
    memset(attributes, 0, sizeof *attributes);
    attributes->multiprocessors = gpu.parts[part_of(device) - 1];
    return SUCCESS;
}
