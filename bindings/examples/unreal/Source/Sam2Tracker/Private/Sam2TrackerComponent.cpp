#include "Sam2TrackerComponent.h"

#include "Async/Async.h"
#include "Engine/Texture2D.h"
#include "Engine/TextureRenderTarget2D.h"
#include "Misc/Paths.h"
#include "RHICommandList.h"
#include "RHIGPUReadback.h"
#include "RenderingThread.h"
#include "TextureResource.h"

#include <atomic>
#include <tracker.h>

DEFINE_LOG_CATEGORY_STATIC(LogSam2, Log, All);

// Shared with the loading thread and the render thread, and freed by the last of them.
struct FSam2TrackerState
{
    FIntPoint Size = FIntPoint::ZeroValue;
    std::atomic<tracker*> Tracker{nullptr};
    std::atomic<bool> bFailed{false};

    // The readback: the game thread starts it, the render thread fills Pixels, and the game thread pushes them.
    enum EReading { Nothing, Waiting, Filled };
    std::atomic<int> Reading{Nothing};
    TUniquePtr<FRHIGPUTextureReadback> Readback;
    TArray<uint8> Pixels;
    int32 Stride = 0;

    // For the game thread.
    bool bPrompted = false, bBusy = false;
    TArray<uint8> Map;

    // Waits for the current image.
    ~FSam2TrackerState() { tracker_close(Tracker); }
};

using FState = TSharedPtr<FSam2TrackerState, ESPMode::ThreadSafe>;

USam2TrackerComponent::USam2TrackerComponent() { PrimaryComponentTick.bCanEverTick = true; }

void USam2TrackerComponent::BeginPlay()
{
    Super::BeginPlay();
    if (!Source) return;
    State = MakeShared<FSam2TrackerState, ESPMode::ThreadSafe>();
    State->Size = FIntPoint(Source->SizeX, Source->SizeY);
    State->Map.SetNumZeroed(Source->SizeX * Source->SizeY);
    Map = UTexture2D::CreateTransient(Source->SizeX, Source->SizeY, PF_G8);
    // Labels must not be interpolated or converted.
    Map->Filter = TF_Nearest;
    Map->SRGB = false;
    Map->UpdateResource();
    const FString Path = FPaths::ConvertRelativePathToFull(FPaths::ProjectContentDir(), Model);
    // Loading takes long. FString is UTF-16, and paths of the tracker are UTF-8.
    Async(EAsyncExecution::Thread, [Held = State, Path, Wanted = Threads]
    {
        char Error[512];
        tracker* Opened = tracker_open(
            TCHAR_TO_UTF8(*Path), Held->Size.X, Held->Size.Y, Wanted, TRACKER_BGRA, Error, sizeof Error);
        if (!Opened) UE_LOG(LogSam2, Error, TEXT("%s"), UTF8_TO_TCHAR(Error));
        Held->bFailed = !Opened;
        Held->Tracker = Opened;
    });
}

void USam2TrackerComponent::EndPlay(const EEndPlayReason::Type Reason)
{
    // The state is freed on another thread, because that waits for the current image.
    if (State) Async(EAsyncExecution::Thread, [Held = MoveTemp(State)]() mutable { Held.Reset(); });
    State.Reset();
    Super::EndPlay(Reason);
}

bool USam2TrackerComponent::AddPoint(int32 Id, FVector2D At, bool bOn)
{
    tracker* T = State ? State->Tracker.load() : nullptr;
    if (!T || !tracker_add_point(T, Id, At.X, At.Y, bOn)) return false;
    return State->bPrompted = true;
}

bool USam2TrackerComponent::AddBox(int32 Id, FVector2D Min, FVector2D Max)
{
    tracker* T = State ? State->Tracker.load() : nullptr;
    if (!T || !tracker_add_box(T, Id, Min.X, Min.Y, Max.X, Max.Y)) return false;
    return State->bPrompted = true;
}

bool USam2TrackerComponent::RemoveObject(int32 Id)
{
    tracker* T = State ? State->Tracker.load() : nullptr;
    return T && tracker_remove(T, Id);
}

void USam2TrackerComponent::TickComponent(float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* This)
{
    Super::TickComponent(DeltaTime, TickType, This);
    if (!State || !State->Tracker) return;
    if (State->bBusy) Poll();
    if (State->Reading == FSam2TrackerState::Filled)
    {
        const int32 Pushed = tracker_push(State->Tracker, State->Pixels.GetData(), State->Stride, GFrameCounter);
        State->bBusy = Pushed > 0;
        if (Pushed < 0) UE_LOG(LogSam2, Error, TEXT("%s"), UTF8_TO_TCHAR(tracker_error(State->Tracker)));
        State->Reading = FSam2TrackerState::Nothing;
    }
    // A readback of an image that would be dropped is not started.
    if (State->bPrompted && !State->bBusy) ReadBack();
}

void USam2TrackerComponent::Poll()
{
    tracker_object Found[TRACKER_MAX_ID];
    int32 Count = TRACKER_MAX_ID;
    int64_t Frame = 0;
    const int32 Polled = tracker_poll(State->Tracker, &Frame, Found, &Count, State->Map.GetData());
    if (Polled == 0) return;
    State->bBusy = false;
    if (Polled < 0)
    {
        // The image is lost, and tracking continues.
        UE_LOG(LogSam2, Error, TEXT("%s"), UTF8_TO_TCHAR(tracker_error(State->Tracker)));
        return;
    }
    Objects.Reset();
    for (int32 I = 0; I < Count; I++)
    {
        FSam2Object Object;
        Object.Id = Found[I].id, Object.bVisible = Found[I].visible != 0, Object.Score = Found[I].score;
        Object.Min = FIntPoint(Found[I].box[0], Found[I].box[1]), Object.Max = FIntPoint(Found[I].box[2], Found[I].box[3]);
        Objects.Add(Object);
    }
    // The render thread frees these.
    const SIZE_T Bytes = State->Map.Num();
    uint8* Copy = static_cast<uint8*>(FMemory::Malloc(Bytes));
    FMemory::Memcpy(Copy, State->Map.GetData(), Bytes);
    auto* Region = new FUpdateTextureRegion2D(0, 0, 0, 0, State->Size.X, State->Size.Y);
    Map->UpdateTextureRegions(0, 1, Region, State->Size.X, 1, Copy, [](uint8* Data, const FUpdateTextureRegion2D* Used)
    {
        FMemory::Free(Data);
        delete Used;
    });
    OnTracked.Broadcast();
}

void USam2TrackerComponent::ReadBack()
{
    const bool bStart = State->Reading == FSam2TrackerState::Nothing;
    if (bStart) State->Reading = FSam2TrackerState::Waiting;
    if (State->Reading != FSam2TrackerState::Waiting) return;
    FTextureRenderTargetResource* Resource = Source->GameThread_GetRenderTargetResource();
    ENQUEUE_RENDER_COMMAND(Sam2ReadBack)([Held = State, Resource, bStart](FRHICommandListImmediate& Commands)
    {
        if (bStart)
        {
            if (!Held->Readback) Held->Readback = MakeUnique<FRHIGPUTextureReadback>(TEXT("sam2"));
            Held->Readback->EnqueueCopy(Commands, Resource->GetRenderTargetTexture());
        }
        // Does not wait. The next tick asks again.
        if (Held->Reading != FSam2TrackerState::Waiting || !Held->Readback->IsReady()) return;
        int32 Pitch = 0;
        const void* Data = Held->Readback->Lock(Pitch);
        Held->Stride = 4 * Pitch;
        Held->Pixels.SetNumUninitialized(Held->Stride * Held->Size.Y);
        FMemory::Memcpy(Held->Pixels.GetData(), Data, Held->Stride * Held->Size.Y);
        Held->Readback->Unlock();
        Held->Reading = FSam2TrackerState::Filled;
    });
}
