// Tracks objects in a render target.
#pragma once

#include "Components/ActorComponent.h"
#include "CoreMinimal.h"
#include "Sam2TrackerComponent.generated.h"

class UTexture2D;
class UTextureRenderTarget2D;
struct FSam2TrackerState;

/** An object in a frame. Coordinates are pixels from the top left corner. */
USTRUCT(BlueprintType)
struct FSam2Object
{
    GENERATED_BODY()

    UPROPERTY(BlueprintReadOnly, Category = "sam2")
    int32 Id = 0;
    UPROPERTY(BlueprintReadOnly, Category = "sam2")
    bool bVisible = false;
    UPROPERTY(BlueprintReadOnly, Category = "sam2")
    FIntPoint Min = FIntPoint::ZeroValue;
    UPROPERTY(BlueprintReadOnly, Category = "sam2")
    FIntPoint Max = FIntPoint::ZeroValue;
    UPROPERTY(BlueprintReadOnly, Category = "sam2")
    float Score = 0.f;
};

DECLARE_DYNAMIC_MULTICAST_DELEGATE(FSam2Tracked);

UCLASS(ClassGroup = (Custom), meta = (BlueprintSpawnableComponent))
class SAM2TRACKER_API USam2TrackerComponent : public UActorComponent
{
    GENERATED_BODY()

public:
    USam2TrackerComponent();

    /** Checkpoint or folder. A relative path starts at the content folder of the project. */
    UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "sam2")
    FString Model;
    /** The images, with the format RTF_RGBA8. Their size must not change. */
    UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "sam2")
    TObjectPtr<UTextureRenderTarget2D> Source;
    /** Number of CPU threads. 0 uses all. */
    UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "sam2")
    int32 Threads = 0;
    /** The id of the object at each pixel, divided by 255. 0 on the background. */
    UPROPERTY(BlueprintReadOnly, Category = "sam2")
    TObjectPtr<UTexture2D> Map;
    /** The objects of the latest frame. */
    UPROPERTY(BlueprintReadOnly, Category = "sam2")
    TArray<FSam2Object> Objects;
    /** Called when Map and Objects have changed. */
    UPROPERTY(BlueprintAssignable, Category = "sam2")
    FSam2Tracked OnTracked;

    /** Adds a point for an object, with an id from 1 to 255. Returns false while the model is loaded. */
    UFUNCTION(BlueprintCallable, Category = "sam2")
    bool AddPoint(int32 Id, FVector2D At, bool bOn = true);
    UFUNCTION(BlueprintCallable, Category = "sam2")
    bool AddBox(int32 Id, FVector2D Min, FVector2D Max);
    UFUNCTION(BlueprintCallable, Category = "sam2")
    bool RemoveObject(int32 Id);

    virtual void BeginPlay() override;
    virtual void EndPlay(const EEndPlayReason::Type Reason) override;
    virtual void TickComponent(float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* This) override;

private:
    void Poll();
    void ReadBack();

    TSharedPtr<FSam2TrackerState, ESPMode::ThreadSafe> State;
};
